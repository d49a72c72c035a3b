/* SPDX-License-Identifier: Apache-2.0
 * gzip streams in pieces of every size: headers with all parts, members, zeros, and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "oci/layer_gzip.h"

enum { STREAM_MAX = 1 << 16, WORDS = 300, GZIP_BITS = 15 + 16 };

struct stream {
	unsigned char data[STREAM_MAX];
	size_t size;
};

/* Adds a member; header NULL: without name, comment and so on. */
static void add_member(struct stream *s, const char *text, gz_header *header)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	if (header)
		deflateSetHeader(&z, header);
	z.next_in = (unsigned char *)text;
	z.avail_in = strlen(text);
	z.next_out = s->data + s->size;
	z.avail_out = STREAM_MAX - s->size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	s->size = STREAM_MAX - z.avail_out;
	deflateEnd(&z);
}

/* Decodes the stream, offered in pieces of this size. 0: whole, and `wanted`; 1: cut; -errno. */
static int decode(const struct stream *s, size_t piece, const char *wanted)
{
	struct gzip_decoder *d = gzip_decoder_new();
	char *made = xcalloc(STREAM_MAX, 1);
	ssize_t n = 0;
	size_t size = 0;
	for (size_t at = 0; at < s->size && n >= 0; at += piece) {
		const unsigned char *in = s->data + at;
		size_t left = s->size - at < piece ? s->size - at : piece, before;
		do {
			before = left;
			n = gzip_decode(d, &in, &left, made + size, piece, NULL);
			size += n > 0 ? (size_t)n : 0;
		} while (n >= 0 && (n > 0 || left != before));
		assert_true(n < 0 || left == 0);
	}
	int complete = gzip_decoder_complete(d);
	if (n == 0 && complete)
		assert_string_equal(made, wanted);
	free(made);
	gzip_decoder_free(d);
	return n < 0 ? (int)n : !complete;
}

static void assert_decodes(const struct stream *s, int result, const char *wanted)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 8, 9, 64, STREAM_MAX };
	for (size_t k = 0; k < ARRAY_SIZE(pieces); k++)
		assert_int_equal(decode(s, pieces[k], wanted), result);
}

static void headers(void **state)
{
	static gz_header all = { .extra = (unsigned char *)"ab",
		.extra_len = 2,
		.name = (unsigned char *)"layer.tar",
		.comment = (unsigned char *)"made by hand",
		.hcrc = 1 };
	static gz_header named = { .name = (unsigned char *)"x" },
			 empty_extra = { .extra = (unsigned char *)"", .hcrc = 1 };
	gz_header *const headers[] = { &all, &named, &empty_extra, NULL };
	for (size_t k = 0; k < ARRAY_SIZE(headers); k++) {
		AUTOFREE struct stream *s = xnew(struct stream);
		add_member(s, "hello, world", headers[k]);
		assert_decodes(s, 0, "hello, world");
	}
	/* A wrong CRC16 of the header; a flag that is reserved; another method. */
	AUTOFREE struct stream *s = xnew(struct stream);
	add_member(s, "hello", &all);
	s->data[strlen("1234567890ababab")] ^= 1;
	assert_decodes(s, -EBADMSG, NULL);
	AUTOFREE struct stream *flags = xnew(struct stream), *method = xnew(struct stream);
	add_member(flags, "hello", NULL);
	flags->data[3] = 1 << 5;
	assert_decodes(flags, -EBADMSG, NULL);
	add_member(method, "hello", NULL);
	method->data[2] = 7;
	assert_decodes(method, -EBADMSG, NULL);
}

static void members(void **state)
{
	AUTOFREE struct stream *s = xnew(struct stream);
	AUTOFREE char *words = xcalloc(WORDS + 1, strlen("word0 "));
	for (int i = 0; i < WORDS; i++)
		sprintf(words + strlen(words), "word%d ", i % 10);
	AUTOFREE char *wanted = xasprintf("%sonetwo", words);
	add_member(s, words, NULL);
	add_member(s, "one", NULL);
	s->size += 5; /* zeros */
	add_member(s, "", NULL);
	add_member(s, "two", NULL);
	s->size += 20;
	assert_decodes(s, 0, wanted);
}

static void damage(void **state)
{
	AUTOFREE struct stream *s = xnew(struct stream);
	add_member(s, "a text that is cut", NULL);
	const size_t whole = s->size;
	for (s->size = 1; s->size < whole; s->size++)
		assert_decodes(s, 1, NULL);
	s->data[whole - 1] ^= 1; /* ISIZE */
	assert_decodes(s, -EBADMSG, NULL);
	s->data[whole - 1] ^= 1;
	s->data[whole - 8] ^= 1; /* CRC32 */
	assert_decodes(s, -EBADMSG, NULL);
	s->data[whole - 8] ^= 1;
	s->data[s->size++] = 'x'; /* no member */
	assert_decodes(s, -EBADMSG, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(headers), cmocka_unit_test(members),
		cmocka_unit_test(damage) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
