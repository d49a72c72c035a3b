/* SPDX-License-Identifier: Apache-2.0
 * Targets, names and frames of the Docker API. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "docker/frame.h"
#include "docker/name.h"
#include "docker/route.h"

static void test_versions(void **state)
{
	static const struct {
		const char *path, *rest;
	} good[] = {
		{ "/_ping", "/_ping" },
		{ "/v1.24/info", "/info" },
		{ "/v1.51/containers/json", "/containers/json" },
		{ "/v1.41", "/" },
		{ "/version", "/version" },
		{ "/v1.x/info", "/v1.x/info" }, /* no version: no such page */
		{ "/v1/boot", "/v1/boot" },
	};
	static const char *const bad[] = { "/v1.52/info", "/v1.23/info", "/v2.0/info", "/v0.99/info" };
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_string_equal(docker_strip_version(good[i].path, NULL), good[i].rest);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		assert_null(docker_strip_version(bad[i], &err));
		assert_int_equal(err->code, EINVAL);
	}
}

static void test_patterns(void **state)
{
	static const struct {
		const char *path, *pattern, *name; /* name NULL: no match; "": no star in it */
	} cases[] = {
		{ "/info", "/info", "" },
		{ "/info/", "/info", NULL },
		{ "/containers/web/start", "/containers/*/start", "web" },
		{ "/containers/web", "/containers/*", "web" },
		{ "/containers/web/start", "/containers/*", NULL },
		{ "/containers//start", "/containers/*/start", NULL },
		{ "/containers/start", "/containers/*/start", NULL },
		{ "/images/docker.io/library/alpine:3/json", "/images/**/json", "docker.io/library/alpine:3" },
		{ "/images/a%2Fb/json", "/images/**/json", "a/b" },
		{ "/containers/%00/json", "/containers/*/json", NULL },
		{ "/containers/%2/json", "/containers/*/json", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *name = NULL;
		int matched = docker_match(cases[i].path, cases[i].pattern, &name);
		assert_int_equal(matched, cases[i].name != NULL);
		if (cases[i].name && *cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
	}
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "a", "-ab", ".ab", "a b", "a/b", "../ab", "a\nb", "\xc3\xa4" };
	AUTOFREE char *id = docker_new_id(), *other = docker_new_id(), *name = docker_new_name(0),
		      *numbered = docker_new_name(9);
	char long_name[400];
	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	assert_true(docker_is_id(id));
	assert_string_not_equal(id, other);
	assert_true(docker_is_name(name));
	assert_true(docker_is_name(numbered));
	assert_true(docker_is_name("a.B_9-"));
	assert_false(docker_is_name(long_name));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(docker_is_name(bad[i]));
	id[63] = 'g';
	assert_false(docker_is_id(id));
	id[63] = '\0';
	assert_false(docker_is_id(id));
	assert_false(docker_is_id("../../etc"));
}

static void test_image_names(void **state)
{
	static const struct {
		const char *canonical, *familiar, *typed;
	} names[] = {
		{ "docker.io/library/alpine:3", "alpine:3", "alpine:3" },
		{ "docker.io/me/box:latest", "me/box:latest", "me/box:latest" },
		{ "localhost/my/box:latest", "localhost/my/box:latest", "my/box:latest" },
		{ "localhost:5000/box:1", "localhost:5000/box:1", "localhost:5000/box:1" },
		{ "quay.io/a/b:1", "quay.io/a/b:1", "quay.io/a/b:1" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(docker_familiar_name(names[i].canonical), names[i].familiar);
		assert_string_equal(docker_typed_name(names[i].canonical), names[i].typed);
	}
}

static void test_frames(void **state)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 16);
	assert_int_equal(docker_frame_append(&b, DOCKER_STDERR, "abc", 3), 0);
	assert_int_equal(b.size, 11);
	assert_memory_equal(b.data, "\2\0\0\0\0\0\0\3abc", 11);
	assert_int_equal(docker_frame_append(&b, DOCKER_STDOUT, "abc", 3), -ENOBUFS);
	assert_int_equal(b.size, 11);
}

static void test_query_has_blanks_as_go_writes_them(void **state)
{
	AUTOFREE char *blank = docker_query("/a+b?x=one+two%2Bthree&y=", "x"),
		      *empty = docker_query("/a+b?x=one+two%2Bthree&y=", "y"), *none = docker_query("/a+b", "x");
	assert_string_equal(blank, "one two+three");
	assert_string_equal(empty, "");
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_query_has_blanks_as_go_writes_them),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_image_names),
		cmocka_unit_test(test_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
