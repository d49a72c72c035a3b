/* SPDX-License-Identifier: Apache-2.0
 * The tar reader on hand-made blocks: what no library would write. Archives of libarchive's are in
 * test/unit/disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "oci/tar.h"

/* An archive in memory, given out `step` bytes at a time. */
struct source {
	char *data;
	size_t size, at, step;
};

static ssize_t give(void *data, const void **ret, struct error **err)
{
	struct source *s = data;
	size_t n = MIN(s->step, s->size - s->at);
	*ret = s->data + s->at;
	s->at += n;
	return (ssize_t)n;
}

static void add(struct source *s, const void *data, size_t size)
{
	s->data = xrealloc(s->data, s->size + size + 512, 1);
	memset(s->data + s->size, 0, size + 512);
	memcpy(s->data + s->size, data, size);
	s->size += (size + 511) & ~(size_t)511;
}

static void seal(char *h)
{
	unsigned sum = 0;
	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum & 0777777);
}

static void octal(char *to, uint64_t value)
{
	for (int i = 10; i >= 0; i--, value >>= 3)
		to[i] = (char)('0' + (value & 7));
	to[11] = 0;
}

static void header(char *h, const char *name, char type, uint64_t size)
{
	memset(h, 0, 512);
	memcpy(h, name, MIN(strlen(name), 100));
	memcpy(h + 100, "0000644", 7);
	octal(h + 124, size);
	memcpy(h + 136, "00000000012", 11);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	seal(h);
}

static void add_entry(struct source *s, const char *name, char type, const void *data, size_t size)
{
	char h[512];
	header(h, name, type, size);
	add(s, h, 512);
	if (size)
		add(s, data, size);
}

static void add_pax(struct source *s, const char *key, const char *value)
{
	size_t length = strlen(key) + strlen(value) + 3;
	size_t digits = length + 1 > 9 ? length + 2 > 99 ? 3 : 2 : 1;
	AUTOFREE char *record = xasprintf("%zu %s=%s\n", length + digits, key, value);
	add_entry(s, "pax", 'x', record, strlen(record));
}

static void add_end(struct source *s)
{
	char zeros[1024] = { 0 };
	add(s, zeros, sizeof zeros);
}

/* Reads all entries; *content collects what they hold. The result of the last call, and the count
 * of entries. */
static int read_all(struct source *s, size_t step, int *ret_entries, struct tar_entry *first, char *content,
    struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *t = NULL;
	const struct tar_entry *e;
	int r, count = 0;
	s->at = 0;
	s->step = step;
	t = tar_reader_new(give, s, NULL);
	while ((r = tar_reader_next(t, &e, err)) > 0) {
		const void *data;
		size_t size;
		uint64_t offset;
		if (count++ == 0 && first) {
			*first = *e;
			first->path = xstrdup(e->path);
			first->target = xstrdup(e->target);
			first->xattrs = NULL;
		}
		while ((r = tar_reader_read(t, &data, &size, &offset, err)) > 0)
			if (content && offset + size < 8192)
				memcpy(content + offset, data, size);
		if (r < 0)
			break;
	}
	*ret_entries = count;
	free(s->data);
	s->data = NULL;
	s->size = 0;
	return r;
}

static void test_plain(void **state)
{
	static const size_t steps[] = { 1, 7, 512, 100000 };
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct source s = { 0 };
		struct tar_entry first;
		char content[8192] = { 0 };
		int count = 0;
		add_entry(&s, "a", '0', "hello", 5);
		add_entry(&s, "d/", '5', NULL, 0);
		add_entry(&s, "old/", 0, NULL, 0);
		add_end(&s);
		add_end(&s);
		assert_int_equal(read_all(&s, steps[i], &count, &first, content, NULL), 0);
		assert_int_equal(count, 3);
		assert_string_equal(content, "hello");
		assert_string_equal(first.path, "a");
		assert_int_equal(first.mode, 0644);
		assert_int_equal(first.mtime, 10);
		assert_int_equal(s.at, 4096);
		free(first.path);
	}
}

/* cap_net_bind_service=ep, as VERSION says; with 24 bytes also the root id 100000. */
static void add_capabilities(struct source *s, int version, size_t size)
{
	static const char key[] = "SCHILY.xattr.security.capability=";
	unsigned char value[24] = { 1, 0, 0, (unsigned char)version, 0, 4 };
	char record[128];
	value[20] = 0xa0, value[21] = 0x86, value[22] = 1;
	size_t length = 3 + strlen(key) + size + 1;
	snprintf(record, sizeof record, "%zu %s", length, key);
	memcpy(record + 3 + strlen(key), value, size);
	record[length - 1] = '\n';
	add_entry(s, "pax", 'x', record, length);
	add_entry(s, "ping", '0', NULL, 0);
}

static void test_capabilities(void **state)
{
	static const struct {
		int version;
		size_t size, expected;
	} cases[] = { { 3, 24, 20 }, { 2, 20, 20 }, { 3, 20, 20 }, { 2, 24, 24 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source s = { .step = 512 };
		const struct tar_entry *e;
		add_capabilities(&s, cases[i].version, cases[i].size);
		CLEANUP(tar_reader_freep) struct tar_reader *t = tar_reader_new(give, &s, NULL);
		assert_int_equal(tar_reader_next(t, &e, NULL), 1);
		assert_int_equal(e->xattr_count, 1);
		assert_int_equal(e->xattrs[0].size, cases[i].expected);
		assert_int_equal(((unsigned char *)e->xattrs[0].value)[3],
		    cases[i].size == 24 && cases[i].version == 3 ? 2 : cases[i].version);
		assert_int_equal(((unsigned char *)e->xattrs[0].value)[5], 4);
		free(s.data);
	}
}

static void test_no_end_mark(void **state)
{
	struct source s = { 0 };
	int count = 0;
	add_entry(&s, "a", '0', "hello", 5);
	assert_int_equal(read_all(&s, 512, &count, NULL, NULL, NULL), 0);
	assert_int_equal(count, 1);
	add_entry(&s, "a", '0', "hello", 5);
	s.size -= 512 - 5; /* nor the padding of the last file, as umoci does */
	count = 0;
	assert_int_equal(read_all(&s, 512, &count, NULL, NULL, NULL), 0);
	assert_int_equal(count, 1);
}

static void test_long_names(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	char name[300], h[512];
	int count = 0;
	memset(name, 'n', 299);
	name[299] = 0;
	add_entry(&s, "././@LongLink", 'L', name, 300);
	add_entry(&s, "././@LongLink", 'K', name, 300);
	add_entry(&s, "short", '2', NULL, 0);
	add_end(&s);
	assert_int_equal(read_all(&s, 512, &count, &first, NULL, NULL), 0);
	assert_string_equal(first.path, name);
	assert_string_equal(first.target, name);
	free(first.path);
	free(first.target);
	header(h, "base", '0', 0);
	memcpy(h + 345, "prefix/of/it", 12);
	seal(h);
	add(&s, h, 512);
	assert_int_equal(read_all(&s, 512, &count, &first, NULL, NULL), 0);
	assert_string_equal(first.path, "prefix/of/it/base");
	free(first.path);
}

static void test_numbers(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	char h[512];
	int count = 0;
	header(h, "a", '3', 0);
	memcpy(h + 108, "\x80\0\0\0\xff\xff\xff\xfe", 8); /* base 256 */
	memcpy(h + 116, "   17 \0", 8);
	memcpy(h + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12); /* -2 */
	memcpy(h + 329, "0000010", 8);
	memcpy(h + 337, "0000377", 8);
	seal(h);
	add(&s, h, 512);
	assert_int_equal(read_all(&s, 512, &count, &first, NULL, NULL), 0);
	assert_int_equal(first.uid, 4294967294U);
	assert_int_equal(first.gid, 15);
	assert_int_equal(first.mtime, -2);
	assert_int_equal(first.major, 8);
	assert_int_equal(first.minor, 255);
	free(first.path);
}

static void test_pax(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	int count = 0;
	add_entry(&s, "global", 'g', "17 comment=hello\n", 17);
	add_pax(&s, "mtime", "-1.5");
	add_pax(&s, "uid", "4000000000");
	add_pax(&s, "path", "from/pax");
	add_pax(&s, "unknown.key", "x");
	add_entry(&s, "header", '0', NULL, 0);
	add_entry(&s, "next", '0', NULL, 0);
	add_end(&s);
	assert_int_equal(read_all(&s, 512, &count, &first, NULL, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(first.path, "from/pax");
	assert_int_equal(first.uid, 4000000000U);
	assert_int_equal(first.mtime, -2);
	assert_int_equal(first.mtime_ns, 500000000);
	free(first.path);
}

static void assert_broken(struct source *s, int code)
{
	AUTO_ERROR struct error *err = NULL;
	int count = 0;
	assert_int_equal(read_all(s, 512, &count, NULL, NULL, &err), -code);
	assert_non_null(err);
	assert_null(strchr(err->text, '\n'));
}

static void test_broken(void **state)
{
	static const char *const records[] = { "9 path=a", "99 path=a\n", "0 a=b\n", "x path=a\n", "9 pathxy\n",
		"7 =abc\n", "18446744073709551625 a=b\n", "12 size=-10\n", "16 mtime=1.x.y\n", "10 uid=-1\n",
		"17 uid=4294967296\n", "11 path=a\0c\n", "\n" };
	struct source s = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		add_entry(&s, "pax", 'x', records[i], i == 11 ? 11 : strlen(records[i]));
		add_entry(&s, "a", '0', NULL, 0);
		assert_broken(&s, EBADMSG);
	}
	add_entry(&s, "a", '0', "x", 1);
	s.data[0] = 'b'; /* the checksum */
	assert_broken(&s, EBADMSG);
	add_entry(&s, "a", '0', "x", 1);
	s.size -= 512; /* cut off */
	assert_broken(&s, EBADMSG);
	add_entry(&s, "", '0', NULL, 0);
	assert_broken(&s, EBADMSG);
	add_entry(&s, "a", 'M', NULL, 0);
	assert_broken(&s, EBADMSG);
	char h[512];
	header(h, "huge", 'x', 0);
	memcpy(h + 124, "77777777777", 11);
	seal(h);
	add(&s, h, 512);
	assert_broken(&s, ENAMETOOLONG);
	header(h, "negative", '0', 0);
	memset(h + 124, 0xff, 12);
	seal(h);
	add(&s, h, 512);
	assert_broken(&s, EBADMSG);
}

static void add_map(struct source *s, const char *map, const char *real_size, size_t stored)
{
	char data[4096];
	memset(data, 'd', sizeof data);
	add_pax(s, "GNU.sparse.major", "0");
	add_pax(s, "GNU.sparse.minor", "1");
	add_pax(s, "GNU.sparse.name", "sparse");
	add_pax(s, "GNU.sparse.size", real_size);
	add_pax(s, "GNU.sparse.map", map);
	add_entry(s, "GNUSparseFile.0/sparse", '0', data, stored);
}

static void test_sparse_map(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	char content[8192] = { 0 };
	int count = 0;
	add_map(&s, "10,5,4000,100,8000,0", "8000", 105);
	add_end(&s);
	assert_int_equal(read_all(&s, 512, &count, &first, content, NULL), 0);
	assert_string_equal(first.path, "sparse");
	assert_int_equal(first.size, 8000);
	assert_int_equal(content[9], 0);
	assert_memory_equal(content + 10, "ddddd\0", 6);
	assert_int_equal(content[3999], 0);
	assert_int_equal(content[4099], 'd');
	assert_int_equal(content[4100], 0);
	free(first.path);
	static const char *const bad[] = { "10", "10,5,x,1", "100,5,10,5", "0,10,5,10", "0,9999", "0,10",
		"18446744073709551615,105", "10,9223372036854775807,20,105" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		add_map(&s, bad[i], "8000", 105);
		assert_broken(&s, EBADMSG);
	}
}

static void test_sparse_old(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	char h[512], content[8192] = { 0 }, more[512] = { 0 };
	int count = 0;
	header(h, "old", 'S', 30);
	memcpy(h + 257, "ustar  ", 8);
	for (int i = 0; i < 4; i++) {
		octal(h + 386 + 24 * i, (uint64_t)i * 100);
		octal(h + 398 + 24 * i, 5);
	}
	h[482] = 1;
	octal(h + 483, 5000);
	seal(h);
	add(&s, h, 512);
	octal(more, 4000);
	octal(more + 12, 10);
	add(&s, more, 512);
	add(&s, "aaaaabbbbbcccccdddddeeeeeeeeee", 30);
	add_entry(&s, "next", '0', NULL, 0);
	assert_int_equal(read_all(&s, 100, &count, &first, content, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(first.size, 5000);
	assert_string_equal(content, "aaaaa");
	assert_string_equal(content + 300, "ddddd");
	assert_string_equal(content + 4000, "eeeeeeeeee");
	free(first.path);
}

static void test_sparse_1_0(void **state)
{
	struct source s = { 0 };
	struct tar_entry first;
	char data[1024] = "2\n0\n3\n7000\n4\n", content[8192] = { 0 };
	int count = 0;
	memcpy(data + 512, "abcwxyz", 7);
	for (int bad = 0; bad < 2; bad++) {
		add_pax(&s, "GNU.sparse.major", "1");
		add_pax(&s, "GNU.sparse.minor", "0");
		add_pax(&s, "GNU.sparse.name", "new");
		add_pax(&s, "GNU.sparse.realsize", "7004");
		add_entry(&s, "GNUSparseFile.0/new", '0', data, bad ? 100 : 519);
		if (bad) {
			assert_broken(&s, EBADMSG);
			continue;
		}
		assert_int_equal(read_all(&s, 512, &count, &first, content, NULL), 0);
		assert_string_equal(first.path, "new");
		assert_int_equal(first.size, 7004);
		assert_string_equal(content, "abc");
		assert_string_equal(content + 7000, "wxyz");
		free(first.path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_no_end_mark),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_pax),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_sparse_map),
		cmocka_unit_test(test_sparse_old),
		cmocka_unit_test(test_sparse_1_0),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
