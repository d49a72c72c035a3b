/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "docker/mounts.h"

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), 0);
	return o;
}

static void binds(void **state)
{
	static const struct {
		const char *text;
		enum docker_mount_type type;
		const char *source, *destination, *mode;
		int read_only, no_copy;
	} good[] = {
		{ "/a:/b", DOCKER_MOUNT_BIND, "/a", "/b", "", 0, 0 },
		{ "/a:/b:ro,z", DOCKER_MOUNT_BIND, "/a", "/b", "ro,z", 1, 0 },
		{ "/a/../c/:/b//x/:rw", DOCKER_MOUNT_BIND, "/c", "/b/x", "rw", 0, 0 },
		{ "/a b:/c d:cached,rprivate", DOCKER_MOUNT_BIND, "/a b", "/c d", "cached,rprivate", 0, 0 },
		{ "data:/b", DOCKER_MOUNT_VOLUME, "data", "/b", "", 0, 0 },
		{ "data:/b:nocopy,ro", DOCKER_MOUNT_VOLUME, "data", "/b", "nocopy,ro", 1, 1 },
		{ "/b", DOCKER_MOUNT_VOLUME, NULL, "/b", "", 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
		assert_int_equal(docker_mount_of_bind(good[i].text, &m, NULL), 0);
		assert_int_equal(m.type, good[i].type);
		assert_true(streq(m.source, good[i].source));
		assert_string_equal(m.destination, good[i].destination);
		assert_string_equal(m.mode, good[i].mode);
		assert_int_equal(m.read_only, good[i].read_only);
		assert_int_equal(m.no_copy, good[i].no_copy);
	}
}

static void bad_binds(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "invalid volume specification: ''" },
		{ ":", "invalid volume specification" },
		{ "/a:", "invalid volume specification" },
		{ ":/b", "invalid volume specification" },
		{ "/a:/b:", "invalid volume specification" },
		{ "/a:/b:ro:z", "invalid volume specification" },
		{ "/a:ro", "invalid volume specification" },
		{ "C:\\a:/b", "includes invalid characters" },
		{ "c:/a:/b", "includes invalid characters" },
		{ "./a:/b", "If you intended to pass a host directory, use absolute path" },
		{ "a/b:/b", "includes invalid characters" },
		{ "v:/b", "includes invalid characters" },
		{ "/a:b", "mount path must be absolute" },
		{ "/a:/", "destination can't be '/'" },
		{ "/a:/x/..", "destination can't be '/'" },
		{ "b", "mount path must be absolute" },
		{ "/a:/b:ro,rw", "invalid mode: ro,rw" },
		{ "/a:/b:ro,", "invalid mode: ro," },
		{ "/a:/b:,", "invalid mode: ," },
		{ "/a:/b:RO", "invalid mode: RO" },
		{ "/a:/b:nocopy", "invalid mode: nocopy" },
		{ "data:/b:rslave", "invalid mode: rslave" },
		{ "/a:/b:shared,private", "invalid mode: shared,private" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		struct docker_mount m = { 0 };
		assert_int_equal(docker_mount_of_bind(bad[i].text, &m, &err), -EINVAL);
		if (!strstr(error_text(err, 0), bad[i].says))
			print_message("%s: %s\n", bad[i].text, error_text(err, 0));
		assert_non_null(strstr(error_text(err, 0), bad[i].says));
	}
}

static void tmpfs(void **state)
{
	static const struct {
		const char *text, *wanted; /* NULL: refused */
	} cases[] = {
		{ "", "noexec,nosuid,nodev" },
		{ "rw,size=64k", "noexec,nosuid,nodev,size=64k" },
		{ "exec,dev,suid,mode=1770,uid=5", "mode=1770,uid=5" },
		{ "ro", "ro,noexec,nosuid,nodev" },
		{ "ro,rw", "noexec,nosuid,nodev" },
		{ "size", NULL },
		{ "size=", NULL },
		{ "lowerdir=/etc", NULL },
		{ "bind", NULL },
		{ "remount", NULL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *options = NULL;
		int r = docker_tmpfs_options(cases[i].text, &options, NULL);
		assert_int_equal(r, cases[i].wanted ? 0 : -EINVAL);
		assert_true(streq(options, cases[i].wanted));
	}
}

static void bodies(void **state)
{
	AUTO_JSON struct json_object *body =
	    parse("{\"HolmFiles\":[{\"Name\":\"file0\",\"Target\":\"/run/f\",\"ReadOnly\":true},"
		  "{\"Name\":\"ssh0\",\"Target\":\"/run/s\",\"Socket\":\"1:2:660\"}],\"Volumes\":{\"/deep/"
		  "er/still\":{},\"/image\":{}},\"HostConfig\":{\"Binds\":[\"/h:/deep/er:ro\"],"
		  "\"Tmpfs\":{\"/run\":\"size=1m\"},"
		  "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"data\",\"Target\":\"/"
		  "deep\",\"VolumeOptions\":{\"NoCopy\":true,"
		  "\"Labels\":{\"k\":\"v\"},\"Subpath\":\"a/b\"}},"
		  "{\"Type\":\"bind\",\"Source\":\"/x/./y\",\"Target\":\"/"
		  "bound\",\"ReadOnly\":true,\"Consistency\":\"cached\","
		  "\"BindOptions\":{\"Propagation\":\"private\"}},"
		  "{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"SizeBytes\":4096,\"Mode\":448,"
		  "\"Options\":[[\"exec\"],[\"uid\",\"3\"]]}}]}}");
	AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 }, again = { 0 };
	assert_int_equal(docker_mounts_of_body(&list, body, NULL), 0);
	assert_int_equal(docker_mounts_of_volumes(&list, body, NULL), 0);
	docker_mounts_sort(&list);
	assert_int_equal(list.count, 9);
	assert_string_equal(docker_mounts_at(&list, "/run/f")->source, "file0");
	assert_int_equal(docker_mounts_at(&list, "/run/f")->type, DOCKER_MOUNT_FILE);
	assert_int_equal(docker_mounts_at(&list, "/run/s")->type, DOCKER_MOUNT_LENT);
	assert_string_equal(docker_mounts_at(&list, "/run/s")->options, "1:2:660");
	assert_true(docker_mounts_at(&list, "/run/f")->read_only);
	assert_string_equal(list.items[0].destination, "/bound");
	assert_string_equal(list.items[0].source, "/x/y");
	assert_string_equal(list.items[8].destination, "/deep/er/still");
	assert_string_equal(docker_mounts_at(&list, "/t")->options, "nosuid,nodev,uid=3,size=4096,mode=700");
	assert_string_equal(docker_mounts_at(&list, "/deep")->subpath, "a/b");
	/* A record has what the body leaves open. */
	for (size_t i = 0; i < list.count; i++) {
		struct docker_mount *m = &list.items[i];
		if (m->type == DOCKER_MOUNT_BIND)
			m->path = xstrdup(m->source);
		if (m->type == DOCKER_MOUNT_VOLUME && !m->source)
			m->source = xstrdup("made");
	}
	AUTO_JSON struct json_object *stored = docker_mounts_store(&list);
	assert_int_equal(docker_mounts_load(&again, stored, NULL), 0);
	AUTO_JSON struct json_object *same = docker_mounts_store(&again);
	assert_true(json_object_equal(stored, same));
}

static void bad_bodies(void **state)
{
	static const struct {
		const char *text, *says;
		int code;
	} bad[] = {
		{ "{\"HostConfig\":{\"Binds\":[\"/a:/x\",\"/b:/x\"]}}", "Duplicate mount point: /x", EINVAL },
		{ "{\"HostConfig\":{\"Binds\":[\"/a:/x\"],\"Tmpfs\":{\"/x/\":\"\"}}}", "Duplicate mount point: /x",
		    EINVAL },
		{ "{\"HostConfig\":{\"Binds\":[\"/a:/x:rshared\"]}}", "propagation \"rshared\"", EOPNOTSUPP },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"rel\",\"Target\":\"/x\"}]}}",
		    "must be absolute", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"image\",\"Source\":\"i\",\"Target\":\"/x\"}]}}",
		    "mount type", EOPNOTSUPP },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/x\",\"BindOptions\":{}}]}}",
		    "field BindOptions must not be specified", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"vv\",\"Target\":\"/x\","
		  "\"VolumeOptions\":{\"Subpath\":\"../x\"}}]}}",
		    "subpath", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"vv\",\"Target\":\"/x\","
		  "\"VolumeOptions\":{\"DriverConfig\":{\"Name\":\"nfs\"}}}]}}",
		    "plugin \"nfs\" not found", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/x\",\"TmpfsOptions\":"
		  "{\"Options\":[[\"size\",\"1,lowerdir=/\"]]}}]}}",
		    "tmpfs options", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[7]}}", "no object", EINVAL },
		{ "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"file\",\"Source\":\"file0\",\"Target\":\"/x\"}]}}",
		    "mount type", EINVAL },
		{ "{\"HolmFiles\":[7]}", "HolmFiles has no Name", EINVAL },
		{ "{\"HolmFiles\":[{\"Name\":\"../up\",\"Target\":\"/x\"}]}", "HolmFiles has no Name", EINVAL },
		{ "{\"HolmFiles\":[{\"Name\":\"file0\",\"Target\":\"/\"}]}", "destination can't be '/'", EINVAL },
		{ "{\"HolmFiles\":[{\"Name\":\"ssh0\",\"Target\":\"/x\",\"Socket\":\"0:0:1777\"}]}", "no UID:GID:MODE",
		    EINVAL },
		{ "{\"HolmFiles\":[{\"Name\":\"ssh0\",\"Target\":\"/x\",\"Socket\":\"0:0\"}]}", "no UID:GID:MODE",
		    EINVAL },
		{ "{\"HostConfig\":{\"Tmpfs\":{\"/x\":7}}}", "no text", EINVAL },
		{ "{\"HostConfig\":{\"Tmpfs\":{\"x\":\"\"}}}", "must be absolute", EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_JSON struct json_object *body = parse(bad[i].text);
		AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 };
		int r = docker_mounts_of_body(&list, body, &err);
		if (!strstr(error_text(err, 0), bad[i].says))
			print_message("%s: %s\n", bad[i].text, error_text(err, 0));
		assert_int_equal(r, -bad[i].code);
		assert_non_null(strstr(error_text(err, 0), bad[i].says));
	}
}

static void hostile_records(void **state)
{
	static const char *const bad[] = {
		"[7]",
		"[{}]",
		"[{\"type\":\"bind\",\"destination\":\"/x\",\"source\":\"/a\",\"propagation\":\"rprivate\"}]",
		"[{\"type\":\"bind\",\"destination\":\"/x\",\"source\":\"/"
		"a\",\"path\":\"a\",\"propagation\":\"rprivate\"}]",
		"[{\"type\":\"bind\",\"destination\":\"/x/../y\",\"source\":\"/a\",\"path\":\"/"
		"a\",\"propagation\":\"private\"}]",
		"[{\"type\":\"volume\",\"destination\":\"/x\"}]",
		"[{\"type\":\"volume\",\"destination\":\"/x\",\"source\":\"../up\"}]",
		"[{\"type\":\"volume\",\"destination\":\"/x\",\"source\":\"vv\",\"subpath\":\"a/../../b\"}]",
		"[{\"type\":\"tmpfs\",\"destination\":\"/x\",\"options\":\"bind\"}]",
		"[{\"type\":\"file\",\"destination\":\"/x\",\"source\":\"../up\"}]",
		"[{\"type\":\"volume\",\"destination\":\"/"
		"x\",\"source\":\"vv\"},{\"type\":\"volume\",\"destination\":\"/x\","
		"\"source\":\"vv\"}]",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_JSON struct json_object *array = parse(bad[i]);
		AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 };
		assert_int_equal(docker_mounts_load(&list, array, NULL), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(binds), cmocka_unit_test(bad_binds),
		cmocka_unit_test(tmpfs), cmocka_unit_test(bodies), cmocka_unit_test(bad_bodies),
		cmocka_unit_test(hostile_records) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
