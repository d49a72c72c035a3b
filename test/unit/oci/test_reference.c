/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "oci/digest.h"
#include "oci/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void canonical(void **state)
{
	static const char *const pairs[][2] = {
		{ "alpine", "docker.io/library/alpine:latest" },
		{ "alpine:3.22", "docker.io/library/alpine:3.22" },
		{ "team/tool", "docker.io/team/tool:latest" },
		{ "docker.io/alpine", "docker.io/library/alpine:latest" },
		{ "index.docker.io/library/alpine", "docker.io/library/alpine:latest" },
		{ "docker://quay.io/a/b:c", "quay.io/a/b:c" },
		{ "localhost/x", "localhost/x:latest" },
		{ "localhost:5000/x", "localhost:5000/x:latest" },
		{ "127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1" },
		{ "[::1]:5000/x", "[::1]:5000/x:latest" },
		{ "Registry.Example/x", "Registry.Example/x:latest" },
		{ "a__b/c-d.e_f--g:V1.0-x", "docker.io/a__b/c-d.e_f--g:V1.0-x" },
		{ "alpine@sha256:" HEX64, "docker.io/library/alpine@sha256:" HEX64 },
		{ "r.example:443/x:1@sha256:" HEX64, "r.example:443/x:1@sha256:" HEX64 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		AUTO_REFERENCE struct reference *ref = NULL, *again = NULL;
		assert_int_equal(reference_parse(pairs[i][0], &ref, NULL), 0);
		AUTOFREE char *text = reference_to_string(ref);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(reference_parse(text, &again, NULL), 0);
		AUTOFREE char *same = reference_to_string(again);
		assert_string_equal(same, text);
	}
}

static void local(void **state)
{
	static const struct {
		const char *text, *local;
		int is_local;
	} cases[] = {
		{ "debian:12", "localhost/debian:12", 0 },
		{ "debian", "localhost/debian:latest", 0 },
		{ "library/debian", "localhost/library/debian:latest", 0 },
		{ "team/tool:1", "localhost/team/tool:1", 0 },
		{ "debian@sha256:" HEX64, "localhost/debian@sha256:" HEX64, 0 },
		{ "localhost/debian:12", "localhost/debian:12", 1 },
		{ "docker.io/debian:12", "docker.io/library/debian:12", 0 },
		{ "quay.io/a/b", "quay.io/a/b:latest", 0 },
		{ "localhost:5000/x", "localhost:5000/x:latest", 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_REFERENCE struct reference *ref = NULL;
		assert_int_equal(reference_parse(cases[i].text, &ref, NULL), 0);
		AUTOFREE char *text = reference_to_local_string(ref);
		assert_string_equal(text, cases[i].local);
		assert_int_equal(reference_is_local(ref), cases[i].is_local);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = { "", "UPPER", "team/Tool", "a b", "a:", "a:-x", "a:.x", "a@", "a@sha256:12",
		("a@sha512:" HEX64), "/a", "a/", "a//b", "a..b", "a___b", "-a", "a-", "a_", "host.example:0/x",
		"host.example:99999/x", "host.example:1x/x", "..example/x", "[::1/x", "[]:1/x", "a\nb", "\xc3\xa5",
		"a.b", "../x", "x.y/../z" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		struct reference *ref = NULL;
		/* "a.b" is a good name: only what is in front of a slash is a host. */
		int expected = streq(bad[i], "a.b") ? 0 : -EINVAL;
		assert_int_equal(reference_parse(bad[i], &ref, &err), expected);
		assert_true(expected == 0 || (err && !strchr(err->text, '\n')));
		reference_free(ref);
	}
	char name[1000];
	memset(name, 'a', sizeof name);
	for (size_t n = 250; n < sizeof name; n += 100) {
		struct reference *ref = NULL;
		name[n] = '\0';
		assert_int_equal(reference_parse(name, &ref, NULL), n <= 255 - strlen("library/") ? 0 : -EINVAL);
		reference_free(ref);
		name[n] = 'a';
	}
}

static void loopback(void **state)
{
	static const char *const yes[] = { "localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]",
		"[::1]:5000" };
	static const char *const no[] = { "docker.io", "localhost.example", "127.evil.example", "127.0.0.1.example",
		"128.0.0.1", "127.0.0", "[::2]", "127.0.0.1.1", "", "127.0.0.", "127.0.0.1000" };
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(reference_registry_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(reference_registry_is_loopback(no[i]));
}

static void digests(void **state)
{
	char text[DIGEST_TEXT_SIZE + 1];
	unsigned char bytes[32] = { 0x01, 0x23, [31] = 0xff };
	digest_format(bytes, text);
	assert_true(digest_is_valid(text));
	assert_int_equal(strncmp(digest_hex(text), "0123", 4), 0);
	assert_true(digest_is_valid("sha256:" HEX64));
	static const char *const bad[] = { NULL, "", "sha256:", HEX64, "sha256:" HEX64 "0", "SHA256:" HEX64,
		"sha256:G" HEX64 };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(digest_is_valid(bad[i]));
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(digest_check("sha512:00", "it", &err), -EINVAL);
	assert_non_null(strstr(err->text, "sha512"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical),
		cmocka_unit_test(local),
		cmocka_unit_test(refused),
		cmocka_unit_test(loopback),
		cmocka_unit_test(digests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
