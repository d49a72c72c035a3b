/* SPDX-License-Identifier: Apache-2.0
 * What the image programs read from outside: WWW-Authenticate, the configuration's registries,
 * credential files, apt's targets, names of archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "image/archive/load.h"
#include "image/debian/mirror.h"
#include "image/registry/challenge.h"
#include "image/registry/logins.h"
#include "image/registry/near.h"
#include "image/registry/credentials.h"
#include "image/registry/request.h"
#include "image/registry/settings.h"

static void challenges(void **state)
{
	static const struct {
		const char *text;
		enum challenge_scheme scheme;
		const char *realm, *service, *scope;
	} cases[] = {
		{ "Bearer realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:a/b:pull\"",
		    CHALLENGE_BEARER, "https://auth.example/token", "r", "repository:a/b:pull" },
		{ "bearer  realm = \"x\" , service=plain", CHALLENGE_BEARER, "x", "plain", NULL },
		{ "Basic realm=\"a \\\"b\\\", c\"", CHALLENGE_BASIC, "a \"b\", c", NULL, NULL },
		{ "Basic", CHALLENGE_BASIC, NULL, NULL, NULL },
		{ "Basic realm=\"b\", Bearer realm=\"t\"", CHALLENGE_BEARER, "t", NULL, NULL },
		{ "Bearer realm=\"t\",scope=\"a b,c\", Basic realm=\"b\"", CHALLENGE_BEARER, "t", NULL, "a b,c" },
		{ "Negotiate abc, Digest x=\"y\"", CHALLENGE_NONE, NULL, NULL, NULL },
		{ "Bearer", CHALLENGE_NONE, NULL, NULL, NULL },
		{ "Bearer realm=\"never ends", CHALLENGE_NONE, NULL, NULL, NULL },
		{ "Bearer realm=\"a\r\nb\"", CHALLENGE_NONE, NULL, NULL, NULL },
		{ "", CHALLENGE_NONE, NULL, NULL, NULL },
		{ ",,, =", CHALLENGE_NONE, NULL, NULL, NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_CHALLENGE struct challenge c = { 0 };
		challenge_parse(cases[i].text, strlen(cases[i].text), &c);
		assert_int_equal(c.scheme, cases[i].scheme);
		assert_true(streq(c.realm, cases[i].realm));
		assert_true(streq(c.service, cases[i].service));
		assert_true(streq(c.scope, cases[i].scope));
	}
}

static void registry_settings(void **state)
{
	AUTO_REGISTRY_SETTINGS struct registry_settings s = { 0 };
	static const char text[] = "[machine]\nwhatever = 1\n[registry \"docker.io\"]\nmirror = "
				   "https://a.example/\nmirror = localhost:5000/x\ntls-verify = no\n"
				   "[registry \"quay.io\"]\nmirror = never\n";
	assert_int_equal(registry_settings_parse(text, "config", "docker.io", &s, NULL), 0);
	assert_int_equal(s.mirrors.count, 2);
	assert_string_equal(s.mirrors.items[0], "a.example");
	assert_string_equal(s.mirrors.items[1], "localhost:5000/x");
	assert_true(s.insecure);
	assert_int_equal(s.min_rate, 1024);
	assert_int_equal(s.timeout_s, 60);
	AUTO_REGISTRY_SETTINGS struct registry_settings slow = { 0 };
	assert_int_equal(registry_settings_parse("[registry \"r\"]\nmin-rate = 2K\ntimeout = 5\n", "config", "r", &slow,
			     NULL),
	    0);
	assert_int_equal(slow.min_rate, 2048);
	assert_int_equal(slow.timeout_s, 5);
	static const char *const bad[] = { "mirror = a b\n", "mirror = http://x\n", "mirror =\n",
		"tls-verify = perhaps\n", "speed = fast\n", "mirror = x/../y\n", "timeout = 0\n", "timeout = 3601\n",
		"timeout = 1m\n", "min-rate = 0\n", "min-rate = -1\n", "min-rate = 2G\n" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *whole = xasprintf("[registry \"r\"]\n%s", bad[i]);
		AUTO_REGISTRY_SETTINGS struct registry_settings other = { 0 };
		assert_int_equal(registry_settings_parse(whole, "config", "r", &other, &err), -EINVAL);
		assert_non_null(strstr(err->text, "config"));
		assert_int_equal(registry_settings_parse(whole, "config", "elsewhere", &other, NULL), 0);
	}
}

static int find(const char *text, const char *registry, const char *repository, struct credentials *c)
{
	AUTO_JSON struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	*c = (struct credentials){ 0 };
	return credentials_from_json(o, registry, repository, c, NULL);
}

static void credential_files(void **state)
{
	/* alice:secret word, bob:b:c, carol:x */
	static const char text[] =
	    "{\"auths\":{\"https://index.docker.io/v1/"
	    "\":{\"auth\":\"YWxpY2U6c2VjcmV0IHdvcmQ=\"},\"r.example:5000\":{\"auth\":\"Ym9iOmI6Yw==\"},\"r.example:"
	    "5000/"
	    "team\":{\"auth\":\"Y2Fyb2w6eA==\"},\"t.example\":{\"identitytoken\":\"TOKEN\"},\"e.example\":{},\"p."
	    "example\":{\"username\":\"u\",\"password\":\"p\"},\"b.example\":{\"auth\":\"***\"},\"n.example\":7}}";
	static const struct {
		const char *registry, *repository;
		int result;
		const char *user, *password;
	} cases[] = {
		{ "docker.io", "library/alpine", 1, "alice", "secret word" },
		{ "r.example:5000", "other/x", 1, "bob", "b:c" },
		{ "r.example:5000", "team/x", 1, "carol", "x" },
		{ "r.example:5000", "teamwork/x", 1, "bob", "b:c" },
		{ "r.example", "x", 0, NULL, NULL },
		{ "e.example", "x", 0, NULL, NULL },
		{ "p.example", "x", 1, "u", "p" },
		{ "b.example", "x", -EINVAL, NULL, NULL },
		{ "n.example", "x", -EINVAL, NULL, NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_CREDENTIALS struct credentials c = { 0 };
		assert_int_equal(find(text, cases[i].registry, cases[i].repository, &c), cases[i].result);
		assert_true(streq(c.user, cases[i].user));
		assert_true(streq(c.password, cases[i].password));
	}
	AUTO_CREDENTIALS struct credentials token = { 0 };
	assert_int_equal(find(text, "t.example", "x", &token), 1);
	assert_string_equal(token.identity_token, "TOKEN");
	AUTO_CREDENTIALS struct credentials none = { 0 };
	assert_int_equal(find("{\"credsStore\":\"no-such-helper-here\"}", "r.example", "x", &none), 0);
	assert_int_equal(find("{\"credsStore\":\"../evil\"}", "r.example", "x", &none), -EINVAL);
}

/* Logins in a file: set and removed by exactly their key; other members stay. */
static void logins(void **state)
{
	static const struct {
		const char *before, *key;
		int result; /* of removing it */
		const char *after, *set;
	} rows[] = {
		{ "{}", "r.example", 0, "{}", "{\"auths\":{\"r.example\":{\"auth\":\"dTpw\"}}}" },
		{ "{\"x\":1,\"auths\":{\"r.example\":{},\"http://r.example/v1/\":{},\"r.example/team\":{}}}",
		    "r.example", 2, "{\"x\":1,\"auths\":{\"r.example/team\":{}}}",
		    "{\"x\":1,\"auths\":{\"r.example/team\":{},\"r.example\":{\"auth\":\"dTpw\"}}}" },
		{ "{\"auths\":{\"docker.io\":{}}}", "docker.io", 1, "{\"auths\":{}}",
		    "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}" },
		{ "{\"auths\":{\"r.example:5000\":{}}}", "r.example", 0, "{\"auths\":{\"r.example:5000\":{}}}",
		    "{\"auths\":{\"r.example:5000\":{},\"r.example\":{\"auth\":\"dTpw\"}}}" },
		{ "[]", "r.example", -EINVAL, "[]", NULL },
		{ "{\"auths\":7}", "r.example", -EINVAL, "{\"auths\":7}", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct credentials c = { .user = "u", .password = "p" };
		AUTO_JSON struct json_object *o = NULL;
		assert_int_equal(json_parse(rows[i].before, strlen(rows[i].before), "test", &o, NULL), 0);
		assert_int_equal(logins_json_remove(o, rows[i].key, NULL), rows[i].result);
		AUTOFREE char *after = json_to_string(o, 0);
		assert_string_equal(after, rows[i].after);
		assert_int_equal(logins_json_set(o, rows[i].key, &c, NULL), rows[i].set ? 0 : -EINVAL);
		AUTOFREE char *set = json_to_string(o, 0);
		assert_string_equal(set, rows[i].set ? rows[i].set : rows[i].after);
	}
}

static void login_helpers(void **state)
{
	static const char text[] =
	    "{\"credHelpers\":{\"r.example\":\"one\",\"e.example\":\"\"},\"credsStore\":\"all\"}";
	AUTO_JSON struct json_object *o = NULL, *none = json_object_new_object();
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	assert_string_equal(logins_json_helper(o, "r.example"), "one");
	assert_string_equal(logins_json_helper(o, "x.example"), "all");
	assert_string_equal(logins_json_helper(o, "e.example"), "all");
	assert_null(logins_json_helper(o, "r.example/team"));
	assert_null(logins_json_helper(none, "r.example"));
}

static void apt_mirrors(void **state)
{
	static const char targets[] =
	    "http://m.example/debian/|bookworm|main|Debian\nhttp://m.example/debian/|bookworm|main|Debian\n"
	    "http://m.example/debian/|bookworm-updates|main|Debian\nhttp://s.example/sec/"
	    "|bookworm-security|main|Debian\n"
	    "https://other.example/|nodistro|main|. nodistro\nbroken line\n";
	AUTO_STRV struct strv own = { 0 }, other = { 0 }, none = { 0 };
	mirror_from_targets(targets, "bookworm", &own);
	assert_int_equal(own.count, 3);
	assert_string_equal(own.items[0], "deb http://m.example/debian/ bookworm main");
	assert_string_equal(own.items[2], "deb http://s.example/sec/ bookworm-security main");
	mirror_from_targets(targets, "trixie", &other);
	assert_int_equal(other.count, 3);
	assert_string_equal(other.items[0], "deb http://m.example/debian/ trixie main");
	assert_string_equal(other.items[2], "deb http://s.example/sec/ trixie-security main");
	AUTO_STRV struct strv unstable = { 0 };
	mirror_from_targets(targets, "sid", &unstable);
	assert_int_equal(unstable.count, 1);
	mirror_from_targets("", "trixie", &none);
	assert_int_equal(none.count, 0);
}

static void archive_names(void **state)
{
	static const char *const cases[][3] = {
		{ "/nowhere/Debian-12.tar.gz", NULL, "docker.io/library/debian-12:latest" },
		{ "/nowhere/box.oci", "1.2", "docker.io/library/box:1.2" },
		{ "/nowhere/box.tar", "quay.io/a/b:c", "quay.io/a/b:c" },
		{ "-", "a:1", "docker.io/library/a:1" },
		{ "-", "latest", NULL },
		{ "-", NULL, NULL },
		{ "/nowhere/_.tar", NULL, NULL },
		{ "/nowhere/x.tar", "a/UPPER", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *name = load_image_name(cases[i][0], cases[i][1], &err);
		assert_true(streq(name, cases[i][2]));
		assert_true((name == NULL) == (err != NULL));
	}
}

static void given_names(void **state)
{
	static const char *const cases[][2] = {
		{ "foo", "docker.io/library/foo:latest" },
		{ "foo:1", "docker.io/library/foo:1" },
		{ "localhost/foo", "localhost/foo:latest" },
		{ "1.2", "docker.io/library/1.2:latest" },
		{ "FOO", NULL },
		{ "foo@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *name = load_given_name(cases[i][0], &err);
		assert_true(streq(name, cases[i][1]));
		assert_true((name == NULL) == (err != NULL));
	}
}

static void urls(void **state)
{
	assert_true(request_same_origin("https://a.example/x", "https://A.example:443/y"));
	assert_false(request_same_origin("https://a.example/x", "http://a.example/x"));
	assert_false(request_same_origin("https://a.example/x", "https://a.example:444/x"));
	assert_false(request_same_origin("https://a.example/x", "https://a.example.evil/x"));
	assert_false(request_same_origin("https://a.example/x", "nonsense://"));
	AUTOFREE char *relative = request_resolve("https://a.example/v2/x", "/y?z=1"),
		      *absolute = request_resolve("https://a.example/", "http://b.example/c");
	assert_string_equal(relative, "https://a.example/y?z=1");
	assert_string_equal(absolute, "http://b.example/c");
	assert_null(request_resolve("https://a.example/", "file:///etc/passwd"));
	assert_null(request_resolve("https://a.example/", "ftp://b.example/"));
}

static void near_hosts(void **state)
{
	static const char *const yes[] = { "127.0.0.1", "127.255.0.9", "0.0.0.0", "0.1.2.3", "169.254.169.254",
		"localhost", "LOCALHOST", "localhost.", "a.localhost", "[::1]", "[::]", "[fe80::1]", "[fe80::1%eth0]",
		"[::ffff:127.0.0.1]", "[::ffff:169.254.1.1]" };
	static const char *const no[] = { "auth.docker.io", "localhost.example", "127.0.0.1.example", "10.0.0.1",
		"169.253.1.1", "128.0.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "notlocalhost", "" };
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(near_host(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(near_host(no[i]));
	assert_true(near_address("fe80::1%eth0"));
	assert_false(near_address("localhost"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges),
		cmocka_unit_test(registry_settings),
		cmocka_unit_test(credential_files),
		cmocka_unit_test(logins),
		cmocka_unit_test(login_helpers),
		cmocka_unit_test(apt_mirrors),
		cmocka_unit_test(archive_names),
		cmocka_unit_test(given_names),
		cmocka_unit_test(urls),
		cmocka_unit_test(near_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
