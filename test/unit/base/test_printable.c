/* SPDX-License-Identifier: Apache-2.0
 * Text from outside on its way to a person: printable.h, errors, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/printable.h"

struct row {
	const char *text, *shown;
};

static const struct row lines[] = {
	{ "", "" },
	{ "plain ~", "plain ~" },
	{ "bl\xc3\xa5 v\xc3\xa6r \xe2\x82\xac \xf0\x9f\x98\x80",
	    "bl\xc3\xa5 v\xc3\xa6r \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\xe2\x9d\xa4\xef\xb8\x8f", "\xe2\x9d\xa4\xef\xb8\x8f" }, /* a variation selector */
	{ "a\x1b[31m\tb\r\n", "a [31m b  " },                       /* C0 */
	{ "\x01\x07\x08\x0e\x1f\x7f", "      " },                   /* and DEL */
	{ "\xc2\x80\xc2\x85\xc2\x9b"
	  "2J\xc2\x9d"
	  "52;c;x\xc2\x9c\xc2\x9f",
	    "   2J 52;c;x  " }, /* C1 in UTF-8 */
	{ "\x80\x85\x9b"
	  "2J\x9f\xff\xfe",
	    "???2J???" },             /* C1 as bytes, and what is never UTF-8 */
	{ "\xc2\xa0x", "\xc2\xa0x" }, /* the first after C1 */
	{ "\xe2\x80\x8e"
	  "a\xe2\x80\x8f"
	  "b\xd8\x9c"
	  "c",
	    "?a?b?c" },                                                              /* U+200E, U+200F, U+061C */
	{ "\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad\xe2\x80\xae", "?????" }, /* U+202A..U+202E */
	{ "\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9", "????" },              /* U+2066..U+2069 */
	{ "\xe2\x80\x8b\xe2\x80\x8c\xe2\x80\x8d\xef\xbb\xbf\xc2\xad", "?????" },     /* of no width */
	{ "\xe2\x80\xa8\xe2\x80\xa9", "??" },                                        /* U+2028, U+2029 */
	{ "\xf3\xa0\x80\x81x", "?x" },                                               /* a tag, U+E0001 */
	/* their neighbours */
	{ "\xe2\x80\x8a\xe2\x80\x90\xe2\x80\xaf\xe2\x81\x9f", "\xe2\x80\x8a\xe2\x80\x90\xe2\x80\xaf\xe2\x81\x9f" },
	{ "\xc0\x9b\xc1\xbf\xe0\x82\x9b\xf0\x80\x82\x9bz", "???????????z" },   /* overlong */
	{ "\xed\xa0\x80.\xf4\x90\x80\x80.\xf5\x80\x80\x80", "???.????.????" }, /* surrogates, above U+10FFFF */
	{ "a\xe2\x82z\xe2z\xf0\x9f\x98z", "a??z?z???z" },                      /* cut in the middle */
	{ "end\xe2\x82", "end" },                                              /* and at the end */
	{ "end\xf0\x9f\x98", "end" },
	{ "end\xc3", "end" },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		AUTOFREE char *text = xstrdup(lines[i].text),
			      *copy = printable_copy(lines[i].text, strlen(lines[i].text), SIZE_MAX);
		assert_ptr_equal(printable(text), text);
		assert_string_equal(text, lines[i].shown);
		assert_string_equal(copy, lines[i].shown);
		printable(text);
		assert_string_equal(text, lines[i].shown);
	}
}

/* Each code point: what is kept is kept whole, nothing else passes. */
static void test_every_character(void **state)
{
	size_t kept = 0;
	for (uint32_t c = 0x80; c < 0x10000; c++) {
		char text[4] = { (char)(c < 0x800 ? 0xc0 | c >> 6 : 0xe0 | c >> 12),
			(char)(c < 0x800 ? 0x80 | (c & 0x3f) : 0x80 | (c >> 6 & 0x3f)),
			(char)(c < 0x800 ? 0 : 0x80 | (c & 0x3f)) };
		AUTOFREE char *shown = printable_copy(text, strlen(text), SIZE_MAX);
		if (streq(shown, text))
			kept++;
		else
			assert_true(strspn(shown, " ?") == strlen(shown));
	}
	/* U+0080..9F; surrogates; U+00AD, 061C, 180E, 200B..F, 2028..E, 2060..F, FEFF, FFF9..B */
	assert_int_equal(kept, 0x10000 - 0x80 - 0x20 - 0x800 - (3 + 5 + 7 + 16 + 1 + 3));
}

static void test_a_cap_leaves_no_half(void **state)
{
	static const char text[] = "a\xc3\xa5\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t sizes[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
	for (size_t max = 0; max < ARRAY_SIZE(sizes); max++) {
		AUTOFREE char *copy = printable_copy(text, sizeof text - 1, max);
		assert_int_equal(strlen(copy), sizes[max]);
		assert_memory_equal(copy, text, sizes[max]);
	}
	AUTOFREE char *not_ended = printable_copy("abcdef", 3, 100);
	assert_string_equal(not_ended, "abc");
}

static void test_json_loses_nothing(void **state)
{
	static const struct row rows[] = {
		{ "{\n  \"a\":\t\"bl\xc3\xa5\"\n}", "{\n  \"a\":\t\"bl\xc3\xa5\"\n}" },
		{ "\"\x7f\xc2\x9b\xe2\x80\xae\"", "\"\\u007f\\u009b\\u202e\"" },
		{ "\"\xf3\xa0\x80\x81\"", "\"\\udb40\\udc01\"" },
		{ "\"\x9b\xe2\x80\"", "\"\\ufffd\\ufffd\\ufffd\"" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTOFREE char *json = printable_json(rows[i].text);
		assert_string_equal(json, rows[i].shown);
	}
	AUTO_JSON struct json_object *o = NULL;
	AUTOFREE char *json = printable_json("[\"\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81\"]");
	assert_int_equal(json_parse(json, strlen(json), "test", &o, NULL), 0);
	assert_string_equal(json_object_get_string(json_object_array_get_idx(o, 0)),
	    "\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81");
}

static void test_errors(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	error_set(&err, 5, "layer \"%s\"",
	    "\xc2\x9b"
	    "2J\xe2\x80\xae");
	assert_string_equal(err->text, "layer \" 2J?\"");
	error_prefix(&err, -5, "image \x9d%s", "\xe2\x80\x8b");
	assert_string_equal(err->text, "image ??: layer \" 2J?\"");
}

static void test_log(void **state)
{
	char text[2048] = "", big[3000];
	AUTO_FD int fd = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	/* A line is capped at 1023 bytes: one of these letters lies across its end. */
	for (size_t i = 0; i + 3 < sizeof big; i += 3)
		memcpy(big + i, "\xe2\x82\xac", 4);
	dup2(fd, STDERR_FILENO);
	log_error("\x1b]0;x\x07\xc2\x9b\x7f\x80\xe2\x81\xa6.");
	for (int shift = 0; shift < 3; shift++)
		log_error("%.*s%s", shift, "xxx", big);
	dup2(saved, STDERR_FILENO);
	assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "error:  ]0;x   ??.\n"));
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		AUTOFREE char *copy = printable_copy(line, (size_t)(end - line), SIZE_MAX);
		assert_int_equal(strlen(copy), end - line);
		assert_memory_equal(copy, line, end - line);
	}
}

static const struct row streams[] = {
	{ "one\ttwo\r\nthree\n", "one\ttwo\r\nthree\n" },
	{ "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mx\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mx\x1b[m" },
	{ "a\x1b]52;c;aGVsbG8=\x07"
	  "b",
	    "ab" },                                                                 /* the clipboard */
	{ "a\x1b]0;title\x1b\\b", "ab" },                                           /* a title */
	{ "a\x1bP+q544e\x1b\\b\x1b_Gx\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", "abcde" }, /* DCS, APC, PM, SOS */
	{ "a\x1b]0;never ended\nnext\n", "a\nnext\n" },                             /* hides its own line alone */
	{ "a\x1b]0;x\x1b[31mb", "a\x1b[31mb" },                                     /* another sequence ends it */
	{ "a\x1b]0;x\x18"
	  "b\x1b]0;y\x1a"
	  "c",
	    "abc" },
	{ "\x1b[2J\x1b[H\x1b[6n\x1b[c\x1b[?1049h\x1b[>4;2mx", "x" },
	{ "\x1b[1 qx\x1b[!py\x1b[31$mz", "xyz" },
	{ "\x1b(0lqk\x1b)B\x1b%G\x1b#8.", "lqk." }, /* charsets */
	{ "\x1b"
	  "c\x1b"
	  "7\x1b=\x1bM\x1b\x1b[31mx",
	    "\x1b[31mx" },
	{ "a\x07\x08\x0e\x0f\x0b\x0c\x7f"
	  "b",
	    "ab" },
	{ "\x1b[3\n1mx", "\n1mx" }, /* broken off: nothing of it passes */
	{ "\x1b[3\x1b[1mx\x1b(\nx", "\x1b[1mx\nx" },
	{ "a\xc2\x9b"
	  "31mb\x9b"
	  "31mc\xc2\x9d"
	  "0;t",
	    "a?31mb?31mc?0;t" }, /* C1 begins no sequence */
	{ "a\xe2\x80\xae"
	  "b\xe2\x80\x8b\xef\xbb\xbf",
	    "a?b??" },
	{ "bl\xc3\xa5 \xf0\x9f\x98\x80", "bl\xc3\xa5 \xf0\x9f\x98\x80" },
	{ "\xe2\x82z\xf0\x9f\x1b[31m\xe0\x80\x80\xc3\n", "??z??\x1b[31m????\n" },
	{ "\x1b[\xc3\xa5", "\xc3\xa5" },
	{ "x\x1b", "x" },
	{ "x\x1b[3", "x" },
	{ "x\xe2\x82", "x" },
};

static void compare_stream(const char *text, size_t piece, const char *shown)
{
	struct printable_stream s = { 0 };
	size_t size = strlen(text), written = 0;
	char out[1024];
	for (size_t at = 0; at < size; at += piece) {
		size_t n = MIN(piece, size - at), added = printable_stream(&s, text + at, n, out + written);
		assert_true(added <= n + PRINTABLE_HELD);
		written += added;
	}
	assert_int_equal(written, strlen(shown));
	assert_memory_equal(out, shown, written);
}

static void test_streams(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		for (size_t piece = 1; piece < 8; piece++)
			compare_stream(streams[i].text, piece, streams[i].shown);
}

static void test_long_sequences(void **state)
{
	char text[512];
	for (size_t digits = 1; digits < 200; digits++) {
		snprintf(text, sizeof text, "a\x1b[%0*dmb", (int)digits, 1);
		compare_stream(text, 3, digits > PRINTABLE_HELD - 3 ? "ab" : text);
	}
}

static void test_colours_end(void **state)
{
	static const struct row rows[] = {
		{ "x", "" },
		{ "\x1b[31mx", "\x1b[m" },
		{ "\x1b[31mx\x1b[m", "" },
		{ "\x1b[31mx\x1b[0m", "" },
		{ "\x1b[0;1mx", "\x1b[m" },
	};
	char out[128];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct printable_stream s = { 0 };
		printable_stream(&s, rows[i].text, strlen(rows[i].text), out);
		assert_string_equal(printable_stream_end(&s), rows[i].shown);
		assert_string_equal(printable_stream_end(&s), "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_a_cap_leaves_no_half), cmocka_unit_test(test_json_loses_nothing),
		cmocka_unit_test(test_errors), cmocka_unit_test(test_log), cmocka_unit_test(test_streams),
		cmocka_unit_test(test_long_sequences), cmocka_unit_test(test_colours_end) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
