/* SPDX-License-Identifier: Apache-2.0
 * The helpers that work on memory alone: parsers, strings, buffers, JSON, errors, time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t unit, bytes;
		int result;
	} rows[] = {
		{ "512M", 1, 512 << 20, 0 },
		{ "2g", 1, UINT64_C(2) << 30, 0 },
		{ "2GiB", 1, UINT64_C(2) << 30, 0 },
		{ "2GB", 1, UINT64_C(2) << 30, 0 },
		{ "10", 1, 10, 0 },
		{ "10", 1 << 20, 10 << 20, 0 },
		{ "7b", 1 << 20, 7, 0 },
		{ "", 1, 0, -EINVAL },
		{ "M", 1, 0, -EINVAL },
		{ "-1", 1, 0, -EINVAL },
		{ "1.5G", 1, 0, -EINVAL },
		{ "1Gx", 1, 0, -EINVAL },
		{ "99999999999999999999", 1, 0, -ERANGE },
		{ "20000000000000T", 1, 0, -ERANGE },
		{ " 1", 1, 0, -EINVAL },
		{ "1 G", 1, 0, -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 0;
		assert_int_equal(parse_size(rows[i].text, rows[i].unit, &value), rows[i].result);
		assert_int_equal(value, rows[i].bytes);
	}
	AUTOFREE char *a = format_size(1536 << 20), *b = format_size(0), *c = format_size(UINT64_C(100) << 30);
	assert_string_equal(a, "1.5G");
	assert_string_equal(b, "0B");
	assert_string_equal(c, "100G");
	free(TAKE_PTR(b));
	free(TAKE_PTR(c));
}

static void numbers(void **state)
{
	uint64_t big;
	uint32_t small = 5;
	assert_int_equal(parse_u64("18446744073709551615", &big), 0);
	assert_true(big == UINT64_MAX);
	assert_int_equal(parse_u64("18446744073709551616", &big), -ERANGE);
	assert_int_equal(parse_u32("4294967296", &small), -ERANGE);
	assert_int_equal(parse_u32("+1", &small), -EINVAL);
	assert_int_equal(small, 5);
	assert_int_equal(parse_octal("0755", &small), 0);
	assert_int_equal(small, 0755);
	assert_int_equal(parse_octal("8", &small), -EINVAL);
}

static void paths(void **state)
{
	static const char *const rows[][2] = { { "/a//b/./c", "/a/b/c" }, { "/a/../../b", "/b" }, { "/", "/" },
		{ "/..", "/" }, { "/a/b/..", "/a" } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTOFREE char *p = path_normalize(rows[i][0]);
		assert_string_equal(p, rows[i][1]);
	}
	assert_null(path_normalize("a"));
	assert_true(path_is_below("/a/b", "/a"));
	assert_true(path_is_below("/a", "/a"));
	assert_false(path_is_below("/ab", "/a"));
	assert_true(path_is_below("/ab", "/"));
	AUTOFREE char *joined = path_join("/a/", "b");
	assert_string_equal(joined, "/a/b");
}

static void environment_lists(void **state)
{
	AUTO_STRV struct strv v = { 0 };
	for (int i = 0; i < 20; i++)
		strv_addf(&v, "K%d=%d", i, i);
	strv_setenv(&v, "K3", "x");
	strv_setenv(&v, "K4", NULL);
	strv_setenv(&v, "NEW", "y");
	assert_string_equal(strv_getenv(&v, "K3"), "x");
	assert_null(strv_getenv(&v, "K4"));
	assert_null(strv_getenv(&v, "K"));
	assert_string_equal(strv_getenv(&v, "NEW"), "y");
	assert_int_equal(v.count, 20);
	assert_null(v.items[v.count]);
	for (int i = 0; i < 20; i++)
		strv_add(&v, "more");
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, "::a:b::", ":");
	AUTOFREE char *joined = strv_join(&parts, "+");
	assert_string_equal(joined, "a+b");
}

static void buffers_keep_their_cap(void **state)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 10);
	assert_int_equal(buffer_append(&b, "0123456789", 10), 0);
	assert_int_equal(buffer_append(&b, "x", 1), -ENOBUFS);
	buffer_consume(&b, 4);
	assert_int_equal(buffer_append(&b, "abcd", 4), 0);
	assert_string_equal(buffer_string(&b), "456789abcd");
	assert_null(buffer_reserve(&b, SIZE_MAX));
	AUTOFREE char *text = buffer_take_string(&b);
	assert_string_equal(text, "456789abcd");
	assert_int_equal(b.size, 0);
}

static void json_is_strict(void **state)
{
	static const char *const bad[] = { "", "{", "{\"a\":1,}", "[1] x", "{\"a\":NaN}", "\"\xff\"", "{\"a\":01}",
		"nul" };
	static const char *const good[] = { "{}", " [1, 2] \n", "12", "\"x\"", "true", "{\"a\":{\"b\":null}}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_JSON struct json_object *o = NULL;
		AUTO_ERROR struct error *err = NULL;
		if (json_parse(bad[i], strlen(bad[i]), "x", &o, &err) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
		assert_non_null(err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO_JSON struct json_object *o = NULL;
		if (json_parse(good[i], strlen(good[i]), "x", &o, NULL) != 0)
			fail_msg("refused: %s", good[i]);
	}
	AUTOFREE char *deep = xmalloc(200);
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(deep, 200, "x", &o, NULL), -EBADMSG);
}

static void json_of_any_bytes(void **state)
{
	AUTO_JSON struct json_object *o = NULL, *bad = NULL;
	const char *s = NULL;
	assert_int_equal(json_parse_bytes("{\"a\":\"x\xff\"}", 10, "x", &o, NULL), 0);
	assert_int_equal(json_get_string(o, "a", &s, NULL), 0);
	assert_string_equal(s, "x\xff");
	AUTOFREE char *text = json_to_string(o, 0);
	assert_string_equal(text, "{\"a\":\"x\xff\"}");
	assert_int_equal(json_parse_bytes("{\"a\":1,}", 8, "x", &bad, NULL), -EBADMSG);
}

static void json_empty_is_short(void **state)
{
	static const char text[] = "{\"a\":[],\"b\":{},\"c\":[{}],\"d\":\"[ ]\\\"{ }\"}";
	AUTO_JSON struct json_object *o = NULL, *none = json_object_new_array();
	assert_int_equal(json_parse(text, sizeof text - 1, "x", &o, NULL), 0);
	AUTOFREE char *pretty = json_to_string(o, 1), *empty = json_to_string(none, 1);
	assert_string_equal(pretty,
	    "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    {}\n  ],\n  \"d\": \"[ ]\\\"{ }\"\n}");
	assert_string_equal(empty, "[]");
}

static void json_members(void **state)
{
	static const char text[] =
	    "{\"s\":\"x\",\"n\":-5,\"u\":18446744073709551615,\"b\":true,\"z\":null,\"a\":[\"p\",\"q\"],\"m\":[1]}";
	AUTO_JSON struct json_object *o = NULL;
	AUTO_STRV struct strv v = { 0 };
	AUTO_ERROR struct error *err = NULL;
	const char *s = NULL;
	uint64_t u = 1;
	int b = 0;
	assert_int_equal(json_parse(text, sizeof text - 1, "x", &o, NULL), 0);
	assert_int_equal(json_get_string(o, "s", &s, NULL), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_get_string(o, "z", &s, NULL), -ENOENT);
	assert_int_equal(json_get_u64(o, "n", &u, NULL), -EINVAL);
	assert_int_equal(json_get_u64(o, "u", &u, NULL), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(json_get_bool(o, "b", &b, NULL), 0);
	assert_int_equal(json_get_bool(o, "s", &b, &err), -EINVAL);
	assert_string_equal(err->text, "\"s\" must be true or false");
	assert_int_equal(json_get_strv(o, "a", &v, NULL), 0);
	assert_int_equal(v.count, 2);
	assert_int_equal(json_get_strv(o, "m", &v, NULL), -EINVAL);
}

static void errors_collect_context(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(error_set(&err, ENOENT, "no\nfile"), -ENOENT);
	assert_int_equal(error_set(&err, EIO, "second"), -EIO);
	error_prefix(&err, 0, "image %s", "x");
	assert_string_equal(err->text, "image x: no file");
	assert_int_equal(err->code, ENOENT);
	assert_int_equal(error_set(NULL, EIO, "nobody"), -EIO);
	assert_int_equal(error_http_status(-ENOENT), 404);
	assert_int_equal(error_from_http_status(404), ENOENT);
	assert_int_equal(error_from_http_status(418), EINVAL);
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = { { "1970-01-01T00:00:00Z", 0 }, { "2026-11-22T07:33:57.5Z", 1795332837500000000 },
		{ "2026-11-22T09:33:57.500000000+02:00", 1795332837500000000 } };
	static const char *const bad[] = { "", "2026-11-22", "2026-11-22T07:33:57", "2026-11-22T07:33:57.Z",
		"2026-11-22T07:33:57+2", "2026-13-22T07:33:57Z", "2026-11-22T07:33:57Zx" };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ns = -1;
		assert_int_equal(clock_parse_rfc3339(rows[i].text, &ns), 0);
		assert_true(ns == rows[i].ns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t ns;
		assert_int_equal(clock_parse_rfc3339(bad[i], &ns), -EINVAL);
	}
	AUTOFREE char *text = clock_format_rfc3339(1795332837500000000);
	assert_string_equal(text, "2026-11-22T07:33:57.500000000Z");
}

/* Returns the lines that `say` logs within this limit. Owned. */
static char *logged(size_t limit, void (*say)(void))
{
	int fd = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	assert_true(fd >= 0 && saved >= 0);
	dup2(fd, STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	log_set_limit(limit);
	say();
	log_set_limit(SIZE_MAX);
	dup2(saved, STDERR_FILENO);
	close(saved);
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = xcalloc(1, (size_t)size + 1);
	assert_int_equal(pread(fd, text, (size_t)size, 0), size);
	close(fd);
	return text;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;
	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void say_much(void)
{
	for (int i = 0; i < 1000; i++)
		log_info("a line that somebody else causes");
	log_warning("the warning");
}

static void warn(int i)
{
	log_warning("warning %d that somebody else causes", i);
}

static void warn_much(void)
{
	for (int i = 0; i < 1000; i++)
		warn(i);
	log_error("another one");
}

/* Of one place after the other, so that no rate stands in the way. */
static void warn_everywhere(void)
{
#define TEN(x) x x x x x x x x x x
	TEN(log_warning("a warning"); log_error("an error");)
}

/* As a process that dies and is started again does. */
static void warn_in_children(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			warn(i);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

static void test_log_limit(void **state)
{
	AUTOFREE char *much = logged(200, say_much), *warnings = logged(1 << 20, warn_much),
		      *everywhere = logged(100, warn_everywhere);
	AUTOFREE char *children = logged(1 << 20, warn_in_children), *unlimited = logged(SIZE_MAX, warn_much);
	assert_true(strlen(much) < 400);
	assert_non_null(strstr(much, "the log is full"));
	assert_non_null(strstr(much, "the warning"));
	assert_int_equal(count_lines(warnings), LOG_BURST + 1);
	assert_non_null(strstr(warnings, "another one"));
	assert_true(strlen(everywhere) < 200);
	assert_non_null(strstr(everywhere, "nothing more is written"));
	assert_int_equal(count_lines(children), LOG_BURST);
	assert_int_equal(count_lines(unlimited), 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_log_limit), cmocka_unit_test(sizes),
		cmocka_unit_test(numbers), cmocka_unit_test(paths), cmocka_unit_test(environment_lists),
		cmocka_unit_test(buffers_keep_their_cap), cmocka_unit_test(json_is_strict),
		cmocka_unit_test(json_members), cmocka_unit_test(json_of_any_bytes),
		cmocka_unit_test(json_empty_is_short), cmocka_unit_test(errors_collect_context),
		cmocka_unit_test(times) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
