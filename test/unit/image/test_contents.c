/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "image/library/contents.h"

/* An archive of entries "TYPE PATH [TARGET OR CONTENT]": f file, d directory, l hard link. */
struct archive {
	struct buffer bytes;
	int given;
};

static void put_octal(char *field, size_t size, unsigned long value)
{
	snprintf(field, size, "%0*lo", (int)size - 1, value);
}

static void add(struct archive *a, const char *text)
{
	char block[512] = { 0 }, path[100] = "", rest[100] = "", type;
	assert_true(sscanf(text, "%c %99s %99s", &type, path, rest) >= 2);
	size_t size = type == 'f' ? strlen(rest) : 0;
	snprintf(block, 100, "%s", path);
	put_octal(block + 100, 8, type == 'd' ? 0755 : 0644);
	put_octal(block + 108, 8, 0);
	put_octal(block + 116, 8, 0);
	put_octal(block + 124, 12, size);
	put_octal(block + 136, 12, 0);
	block[156] = type == 'f' ? '0' : type == 'd' ? '5' : type == 'l' ? '1' : '2';
	if (type == 'l' || type == 's')
		snprintf(block + 157, 100, "%s", rest);
	memcpy(block + 257, "ustar\00000", 8);
	memset(block + 148, ' ', 8);
	unsigned long sum = 0;
	for (size_t k = 0; k < sizeof block; k++)
		sum += (unsigned char)block[k];
	snprintf(block + 148, 8, "%06lo", sum);
	buffer_append(&a->bytes, block, sizeof block);
	if (size) {
		memset(block, 0, sizeof block);
		memcpy(block, rest, size);
		buffer_append(&a->bytes, block, sizeof block);
	}
}

static ssize_t give(void *data, const void **ret, struct error **err)
{
	struct archive *a = data;
	if (a->given++)
		return 0;
	*ret = a->bytes.data;
	return (ssize_t)a->bytes.size;
}

static void add_layer(const char *const *entries, struct content_pool *pool, struct contents *c)
{
	static const char end[1024];
	struct archive a = { .given = 0 };
	buffer_init(&a.bytes, 1 << 20);
	for (; *entries; entries++)
		add(&a, *entries);
	buffer_append(&a.bytes, end, sizeof end);
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(give, &a, NULL);
	assert_int_equal(contents_add_tar(tar, pool, c, NULL), 0);
	buffer_done(&a.bytes);
}

static char *paths(const struct contents *c)
{
	AUTO_STRV struct strv list = { 0 };
	for (size_t k = 0; k < c->count; k++)
		strv_add(&list, c->items[k]->path);
	return strv_join(&list, " ");
}

enum { LAYERS = 2, ENTRIES = 8 };

static const struct {
	const char *layers[LAYERS][ENTRIES];
	const char *result;
} rows[] = {
	{ { { "d b", "f b/x 1", "f ab 1", "f b.c 1", "d a" } }, "/a /ab /b /b/x /b.c" },
	{ { { "f ./x 1", "f x 2" }, { "f ../x 3" } }, "/x" },
	{ { { "d a", "f a/b 1", "d a/c", "f a/c/d 1" }, { "f a/.wh.c" } }, "/a /a/b" },
	{ { { "d a", "f a/b 1" }, { "f a/.wh..wh..opq", "f a/n 1" } }, "/a /a/n" },
	/* Whiteouts hide what is below, whatever the order in the archive. */
	{ { { "f a 1" }, { "f a 2", "f .wh.a" } }, "/a" },
	{ { { "d a", "f a/b 1", "f a/c 1" }, { "f a 1" } }, "/a" },
	{ { { "f a 1" }, { "d a", "f a/b 1" } }, "/a /a/b" },
	{ { { "f x 1" }, { "l .wh.x x" } }, "" },
	{ { { "f x 1" }, { "f .wh..wh.plnk 1", "f .wh.nothing" } }, "/x" },
	{ { { "d a", "f a/b 1" }, { "f .wh..wh..opq", "f c 1" } }, "/c" },
};

static void layers(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		AUTO_CONTENT_POOL struct content_pool pool = { 0 };
		AUTO_CONTENTS struct contents c = { 0 };
		for (size_t n = 0; n < LAYERS; n++)
			add_layer(rows[k].layers[n], &pool, &c);
		AUTOFREE char *text = paths(&c);
		assert_string_equal(text, rows[k].result);
	}
}

/* The last entry of a path counts. A hard link is the file that it links to, also of a lower
 * layer. */
static void links(void **state)
{
	static const char *const first[] = { "f x 1", "f x 22", "f y 1", NULL };
	static const char *const second[] = { "l z x", "l w z", "l lost nothing", "l self self", NULL };
	AUTO_CONTENT_POOL struct content_pool pool = { 0 };
	AUTO_CONTENTS struct contents c = { 0 };
	add_layer(first, &pool, &c);
	add_layer(second, &pool, &c);
	AUTOFREE char *text = paths(&c);
	assert_string_equal(text, "/lost /self /w /x /y /z");
	assert_int_equal(c.items[3]->size, 2);
	assert_true(content_is_same(c.items[2], c.items[3]) && content_is_same(c.items[5], c.items[3]));
	assert_false(content_is_same(c.items[4], c.items[3]));
	assert_int_equal(c.items[0]->type, TAR_LINK);
	assert_int_equal(c.items[1]->type, TAR_LINK);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(layers), cmocka_unit_test(links) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
