/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "machine/settings.h"

static void names(void **state)
{
	static const char *const good[] = { "a", "0", "dev", "alpine-3-22", "a-",
		"012345678901234567890123456789012345678901234567890123456789abc" };
	static const char *const bad[] = { "", "-a", "A", "a_b", "a.b", "a/b", "..", "a b", "\xc3\xa5",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(machine_name_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(machine_name_check(bad[i], NULL), -EINVAL);
}

static void names_from_images(void **state)
{
	static const char *const pairs[][2] = {
		{ "docker.io/library/alpine:3.22", "alpine-3-22" },
		{ "docker.io/library/alpine:latest", "alpine" },
		{ "alpine", "alpine" },
		{ "localhost:5000/a/My_Image:V1.0--x", "my-image-v1-0-x" },
		{ "x@sha256:0123", "x" },
		{ "x:3@sha256:0123", "x-3" },
		{ "a/___", "machine" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		AUTOFREE char *name = machine_name_from_image(pairs[i][0]);
		assert_string_equal(name, pairs[i][1]);
		assert_int_equal(machine_name_check(name, NULL), 0);
	}
	AUTOFREE char *long_name =
	    machine_name_from_image("a123456789012345678901234567890123456789012345678901234567890-xyz");
	assert_int_equal(machine_name_check(long_name, NULL), 0);
}

static void settings_are_checked(void **state)
{
	static const char *const good[][2] = {
		{ "cpus", "4" },
		{ "memory", "8G" },
		{ "memory", "512MiB" },
		{ "disk-size", "200g" },
		{ "home-mount", "ro" },
		{ "isolation", "vm" },
		{ "user", "alice" },
		{ "user", "a.b-c_D" },
		{ "user", "CORP\\jdoe" },
		{ "user", "first.last@corp.example" },
		{ "user", "jos\303\251" },
		{ "env.A", "1" },
		{ "env._x9", "a=b" },
		{ "kernel", "/proc/self/exe" },
		{ "host-access", "yes" },
		{ "pids", "64" },
		{ "socketcall", "yes" },
		{ "auto-ports", "on" },
		{ "auto_ports", "off" },
		{ "transport", "vsock" },
		{ "proxy", "none" },
		{ "ca", "none" },
		{ "proxy", "http://me:secret@proxy.example:3128" },
		{ "proxy", "socks5h://[::1]:1080/" },
		{ "init", "holm" },
		{ "share-cache", "strict" },
		{ "share-events", "off" },
		{ "owner-map", "record" },
		{ "home-private", "none" },
		{ "home-private", ".a//b/,~/c,.a/d" },
	};
	static const char *const bad[][2] = {
		{ "bogus", "1" },
		{ "cpus", "0" },
		{ "cpus", "-1" },
		{ "cpus", "x" },
		{ "cpus", "100000" },
		{ "memory", "10" },
		{ "memory", "1x" },
		{ "memory", "99999999999999999999G" },
		{ "disk-size", "1" },
		{ "home-mount", "bad" },
		{ "isolation", "docker" },
		{ "user", "a:b" },
		{ "user", "12" },
		{ "user", "-a" },
		{ "user", "a/b" },
		{ "user", "a,b" },
		{ "user", "a\nb" },
		{ "user", " a" },
		{ "user", "+a" },
		{ "env.", "1" },
		{ "env.1", "1" },
		{ "env.A B", "1" },
		{ "kernel", "/nonexistent" },
		{ "kernel", "/" },
		{ "kernel-modules", "/proc/self/exe" },
		{ "kernel-modules", "/proc" },
		{ "host-access", "2" },
		{ "pids", "63" },
		{ "pids", "many" },
		{ "pids", "4194305" },
		{ "socketcall", "2" },
		{ "auto-ports", "yes" },
		{ "transport", "tcp" },
		{ "proxy", "proxy.example:3128" },
		{ "proxy", "http://" },
		{ "ca", "all" },
		{ "proxy", "http://:3128" },
		{ "proxy", "http://a b" },
		{ "proxy", "http://a\"b" },
		{ "proxy", "gopher://a" },
		{ "share-cache", "never" },
		{ "share-events", "yes" },
		{ "owner-map", "nobody" },
		{ "home-private", "/etc" },
		{ "home-private", ".a,none" },
		{ "home-private", "~" },
		{ "home-private", "a,../b" },
		{ "home-private", "a/../b" },
		{ "home-private", ".a,.a/b" },
		{ "home-private", "a,a" },
		{ "home-private", "a\nb" },
		{ "", "1" },
	};
	AUTO_MACHINE struct machine *m = machine_new("m");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(machine_set(m, good[i][0], good[i][1], NULL), 0);
	assert_int_equal(m->cpus, 4);
	assert_int_equal(m->memory, 512 << 20);
	assert_int_equal(m->disk_size, UINT64_C(200) << 30);
	assert_int_equal(m->home_mount, MACHINE_HOME_RO);
	assert_int_equal(m->share_choices[MACHINE_SHARE_CACHE], 1);
	assert_int_equal(m->share_choices[MACHINE_SHARE_EVENTS], 1);
	assert_int_equal(m->share_choices[MACHINE_OWNER_MAP], 2);
	assert_string_equal(strv_getenv(&m->env, "_x9"), "a=b");
	AUTO_STRV struct strv private = { 0 };
	machine_home_private(m, &private);
	AUTOFREE char *places = strv_join(&private, ",");
	assert_string_equal(places, ".a/b,c,.a/d");
	AUTO_JSON struct json_object *before = machine_to_json(m);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		assert_true(machine_set(m, bad[i][0], bad[i][1], &err) < 0);
		assert_non_null(err);
		assert_non_null(strstr(err->text, bad[i][0]));
	}
	AUTO_JSON struct json_object *after = machine_to_json(m);
	assert_true(json_object_equal(before, after));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(machine_set(m, good[i][0], "", NULL), 0);
	assert_int_equal(m->cpus, 0);
	assert_int_equal(m->share_choices[MACHINE_SHARE_CACHE], 0);
	assert_int_equal(m->share_choices[MACHINE_SHARE_EVENTS], 0);
	assert_int_equal(m->share_choices[MACHINE_OWNER_MAP], 0);
	assert_int_equal(m->memory, 0);
	assert_int_equal(m->env.count, 0);
	assert_null(m->kernel);
	assert_true(machine_cpus(m) >= 1);
	assert_true(machine_memory(m) >= UINT64_C(1) << 30);
	assert_int_equal(machine_disk_size(m), UINT64_C(100) << 30);
}

static void disks_only_grow(void **state)
{
	AUTO_MACHINE struct machine *m = machine_new("m");
	m->image_disk = xstrdup("/x");
	assert_int_equal(machine_set(m, "disk-size", "200G", NULL), 0);
	assert_int_equal(machine_set(m, "disk-size", "150G", NULL), -EINVAL);
	assert_int_equal(machine_set(m, "disk-size", "", NULL), -EINVAL);
	assert_int_equal(m->disk_size, UINT64_C(200) << 30);
}

static void mounts(void **state)
{
	struct machine_mount a;
	assert_int_equal(machine_mount_parse("/srv//x/../data", &a, NULL), 0);
	assert_string_equal(a.host, "/srv/data");
	assert_string_equal(a.inside, "/srv/data");
	assert_false(a.read_only);
	AUTO_MACHINE struct machine *m = machine_new("m");
	assert_int_equal(machine_mount_add(m, &a, NULL), 0);
	assert_int_equal(machine_mount_parse("/a:/srv/data/:ro", &a, NULL), 0);
	assert_true(a.read_only);
	assert_int_equal(machine_mount_add(m, &a, NULL), -EEXIST);
	AUTOFREE char *text = machine_mount_format(&a);
	assert_string_equal(text, "/a:/srv/data:ro");
	machine_mount_done(&a);
	AUTOFREE char *directory = getcwd(NULL, 0), *relative = xasprintf("%s/sub", directory);
	assert_int_equal(machine_mount_parse("./sub:/x", &a, NULL), 0);
	assert_string_equal(a.host, relative);
	machine_mount_done(&a);
	static const char with_colon[] = "type=bind,source=/a:b,target=/x,readonly";
	assert_int_equal(machine_mount_parse(with_colon, &a, NULL), 0);
	assert_string_equal(a.host, "/a:b");
	assert_string_equal(a.inside, "/x");
	assert_true(a.read_only);
	AUTOFREE char *pairs = machine_mount_format(&a);
	assert_string_equal(pairs, with_colon);
	machine_mount_done(&a);
	assert_int_equal(machine_mount_parse("type=bind,readonly=false,src=sub", &a, NULL), 0);
	assert_string_equal(a.host, relative);
	assert_string_equal(a.inside, relative);
	assert_false(a.read_only);
	machine_mount_done(&a);
	assert_int_equal(machine_mount_parse("src=/a:b,dst=/x", &a, NULL), 0);
	assert_string_equal(a.host, "/a:b");
	assert_string_equal(a.inside, "/x");
	machine_mount_done(&a);
	assert_int_equal(machine_mount_remove(m, "/nothing", NULL), -ENOENT);
	assert_int_equal(machine_mount_remove(m, "/srv/data/", NULL), 0);
	assert_int_equal(m->mount_count, 0);
	static const char *const bad[] = { "", ":", "/a:", ":/a", "/a:b", "/a:/b:rx", "/a:/b:ro:x", "/a::ro", "/a:/",
		"/a:/proc", "/a:/proc/x", "/a:/etc", "type=bind", "type=volume,source=/a,target=/b",
		"type=bind,source=/a,source=/b", "type=bind,source=/a,target=b", "type=bind,source=/a,target=/proc",
		"type=bind,source=,target=/b", "type=bind,source=/a,bogus", "type=bind,source=/a,readonly=x",
		"type=bind,source=/a,target=/x:y", "type=bind,source=/a:b", "/a:/x\ny", "dst=/x" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(machine_mount_parse(bad[i], &a, NULL), -EINVAL);
}

static void publishing(void **state)
{
	static const char *const good[] = { "8080:80", "53:53/udp", "0.0.0.0:1:65535", "[::1]:8080:80",
		"[::]:53:5353/udp" };
	static const char *const bad[] = { "", "80", ":80", "80:", "0:80", "80:0", "65536:1", "1:65536", "a:80",
		"1.2.3:80:80", "::1:80:80", "[1.2.3.4]:1:1", "80:80/sctp", "80:80/", "80:80/udp/tcp", " 80:80", "-1:80",
		":8080:80", "8000-8001:80-81", "8000-8001:80" };
	AUTO_MACHINE struct machine *m = machine_new("m");
	struct machine_publish p;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(machine_publish_parse(good[i], &p, NULL), 0);
		AUTOFREE char *text = machine_publish_format(&p);
		assert_string_equal(text, good[i]);
		assert_int_equal(machine_publish_add(m, &p, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(machine_publish_parse(bad[i], &p, NULL), -EINVAL);
	assert_int_equal(machine_publish_parse("8080:90/tcp", &p, NULL), 0);
	assert_int_equal(machine_publish_add(m, &p, NULL), -EEXIST);
	machine_publish_done(&p);
}

static void json_round_trip(void **state)
{
	AUTO_MACHINE struct machine *m = machine_new("dev"), *back = NULL;
	struct machine_mount mount;
	struct machine_publish publish;
	m->image = xstrdup("docker.io/library/alpine:3.22");
	m->image_disk = xstrdup("/data/x.ext4");
	m->image_config = json_object_new_object();
	m->platform = xstrdup("linux/amd64");
	m->init_path = xstrdup("/sbin/init");
	assert_int_equal(machine_set(m, "memory", "2G", NULL), 0);
	assert_int_equal(machine_set(m, "env.A", "1", NULL), 0);
	assert_int_equal(machine_set(m, "transport", "vsock", NULL), 0);
	assert_int_equal(machine_mount_parse("/a:/b:ro", &mount, NULL), 0);
	assert_int_equal(machine_mount_add(m, &mount, NULL), 0);
	assert_int_equal(machine_publish_parse("[::1]:53:53/udp", &publish, NULL), 0);
	assert_int_equal(machine_publish_add(m, &publish, NULL), 0);
	AUTO_JSON struct json_object *o = machine_to_json(m);
	assert_int_equal(machine_from_json(o, &back, NULL), 0);
	AUTO_JSON struct json_object *again = machine_to_json(back);
	assert_true(json_object_equal(o, again));
	assert_string_equal(back->publish[0].ip, "::1");
	assert_string_equal(back->id, m->id);
	assert_int_equal(strlen(m->id), 32);
}

/* Ports are objects; machine.json had them as texts before. */
static void ports_of_json(void **state)
{
	static const struct {
		const char *json, *port;
	} rows[] = {
		{ "\"8080:80\"", "8080:80" },
		{ "\"[::1]:53:53/udp\"", "[::1]:53:53/udp" },
		{ "{\"host\":8080,\"inside\":80}", "8080:80" },
		{ "{\"ip\":\"::1\",\"host\":53,\"inside\":53,\"protocol\":\"udp\"}", "[::1]:53:53/udp" },
		{ "{\"ip\":\"127.0.0.1\",\"host\":1,\"inside\":2,\"protocol\":\"tcp\"}", "127.0.0.1:1:2" },
		{ "{\"ip\":null,\"host\":1,\"inside\":2,\"protocol\":\"tcp\"}", "1:2" },
		{ "{}", NULL },
		{ "7", NULL },
		{ "{\"host\":0,\"inside\":80}", NULL },
		{ "{\"host\":65536,\"inside\":80}", NULL },
		{ "{\"host\":\"1\",\"inside\":80}", NULL },
		{ "{\"host\":1,\"inside\":80,\"protocol\":\"sctp\"}", NULL },
		{ "{\"host\":1,\"inside\":80,\"ip\":\"1.2.3\"}", NULL },
		{ "{\"host\":1,\"inside\":80,\"ip\":\"\"}", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine_publish p = { 0 };
		AUTO_JSON struct json_object *o = NULL;
		assert_int_equal(json_parse(rows[i].json, strlen(rows[i].json), "test", &o, NULL), 0);
		int r = machine_publish_from_json(o, &p, NULL);
		AUTOFREE char *text = r == 0 ? machine_publish_format(&p) : NULL;
		if (!streq(text, rows[i].port))
			fail_msg("%s: %d %s", rows[i].json, r, text ? text : "");
		machine_publish_done(&p);
	}
}

static void json_is_checked(void **state)
{
	static const char *const members[][2] = {
		{ "name", "\"A\"" },
		{ "id", "\"xyz\"" },
		{ "created", "\"yesterday\"" },
		{ "version", "2" },
		{ "cpus", "-1" },
		{ "cpus", "1.5" },
		{ "memory", "\"1G\"" },
		{ "home", "\"relative\"" },
		{ "user", "\"a:b\"" },
		{ "uid", "4294967295" },
		{ "mounts", "[1]" },
		{ "mounts", "[{\"host\":\"/a\"}]" },
		{ "publish", "[\"x\"]" },
		{ "env", "[\"=x\"]" },
		{ "isolation", "\"bare\"" },
		{ "image", "\"a\\nb\"" },
		{ "image_config", "[]" },
		{ "host_access", "1" },
		{ "pids", "63" },
		{ "pids", "4194305" },
		{ "socketcall", "\"on\"" },
		{ "auto_ports", "true" },
		{ "address", "\"127.0.0.1\"" },
		{ "address", "\"10.77.0.2\"" },
		{ "address", "\"127.64.0\"" },
	};
	AUTO_MACHINE struct machine *m = machine_new("dev");
	m->image = xstrdup("x");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		AUTO_JSON struct json_object *o = machine_to_json(m);
		AUTO_MACHINE struct machine *back = NULL;
		AUTO_ERROR struct error *err = NULL;
		json_object_object_add(o, members[i][0], json_tokener_parse(members[i][1]));
		assert_true(machine_from_json(o, &back, &err) < 0);
		assert_null(back);
		assert_non_null(err);
	}
}

static void proxies(void **state)
{
	static const struct {
		const char *url, *place;
		int loopback;
	} cases[] = {
		{ "http://proxy.example:3128", "proxy.example:3128", 0 },
		{ "http://me:s@cret@127.0.0.1:3128/x", "127.0.0.1:3128", 1 },
		{ "http://localhost", "localhost", 1 },
		{ "http://my.localhost:1", "my.localhost:1", 1 },
		{ "socks5://[::1]:1080/", "[::1]:1080", 1 },
		{ "http://[2001:db8::1]:1", "[2001:db8::1]:1", 0 },
		{ "127.0.0.53:1", "127.0.0.53:1", 1 },
		{ "", "", 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *place = machine_proxy_place(cases[i].url);
		assert_string_equal(place, cases[i].place);
		assert_int_equal(machine_proxy_is_loopback(cases[i].url), cases[i].loopback);
	}
	AUTO_MACHINE struct machine *m = machine_new("m");
	AUTO_STRV struct strv env = { 0 };
	machine_proxy_variables(m, &env);
	assert_int_equal(env.count, 0);
	assert_int_equal(machine_set(m, "proxy", "none", NULL), 0);
	machine_proxy_variables(m, &env);
	assert_int_equal(env.count, 0);
	assert_int_equal(machine_set(m, "proxy", "http://p:1", NULL), 0);
	assert_int_equal(machine_set(m, "env.no_proxy", ".corp", NULL), 0);
	machine_proxy_variables(m, &env);
	assert_string_equal(strv_getenv(&env, "HTTPS_PROXY"), "http://p:1");
	assert_string_equal(strv_getenv(&env, "no_proxy"), ".corp");
	assert_int_equal(machine_set(m, "proxy", "host", NULL), 0);
	assert_null(m->proxy);
	assert_true(machine_proxy_is_variable("no_proxy=x"));
	assert_false(machine_proxy_is_variable("noproxy"));
}

static void configuration_file(void **state)
{
	AUTO_SETTINGS struct settings s = { 0 };
	assert_int_equal(settings_parse("# x\n[registry]\nanything\n[machine]\n image = alpine:3 \ncpus: 2 ; "
					"two;\n;c\n\nmemory=\n[x]\ncpus=9\n",
			     "config", &s, NULL),
	    0);
	assert_string_equal(s.values[SETTING_IMAGE], "alpine:3");
	assert_string_equal(s.values[SETTING_CPUS], "2");
	assert_null(s.values[SETTING_MEMORY]);
	static const char *const bad[] = { "[machine]\nx=1", "[machine]\nimage", "[machine" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(settings_parse(bad[i], "config", &s, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(names_from_images),
		cmocka_unit_test(settings_are_checked), cmocka_unit_test(disks_only_grow), cmocka_unit_test(mounts),
		cmocka_unit_test(publishing), cmocka_unit_test(json_round_trip), cmocka_unit_test(ports_of_json),
		cmocka_unit_test(json_is_checked), cmocka_unit_test(proxies), cmocka_unit_test(configuration_file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
