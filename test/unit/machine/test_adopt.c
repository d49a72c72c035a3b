/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "machine/machine.h"

/* A machine with a value in every member of machine.json, each different from a new machine's. */
static struct machine *full_machine(void)
{
	static const char *const pairs[][2] = {
		{ "cpus", "512" },
		{ "memory", "16T" },
		{ "disk-size", "64T" },
		{ "isolation", "native" },
		{ "user", "them" },
		{ "init", "holm" },
		{ "share-cache", "strict" },
		{ "share-events", "off" },
		{ "owner-map", "root" },
		{ "home-private", ".app" },
		{ "share-locks", "host" },
		{ "host-access", "true" },
		{ "pids", "4194304" },
		{ "socketcall", "true" },
		{ "auto-ports", "on" },
		{ "transport", "vsock" },
		{ "ca", "none" },
		{ "proxy", "http://me:secret@proxy.example:3128" },
		{ "env.LD_PRELOAD", "/evil" },
		{ "kernel", "/proc/self/exe" },
	};
	struct machine *m = machine_new("theirs");
	m->image = xstrdup("their-image");
	m->image_digest = xstrdup("sha256:11");
	m->platform = xstrdup("linux/other");
	m->init_path = xstrdup("/their/init");
	m->image_config = json_object_new_object();
	m->uid = m->gid = 4242;
	m->form = MACHINE_ISOLATION_NATIVE;
	strv_add(&m->image_trees, "/their/tree");
	free(m->home);
	m->home = xstrdup("/their/home");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_int_equal(machine_set(m, pairs[i][0], pairs[i][1], NULL), 0);
	m->image_disk = xstrdup("/their/disk");
	m->kernel_modules = xstrdup("/proc"); /* any folder */
	struct machine_mount mount = { xstrdup("/etc"), xstrdup("/srv"), 1 };
	assert_int_equal(machine_mount_add(m, &mount, NULL), 0);
	struct machine_publish publish = { xstrdup("0.0.0.0"), 8080, 80, 0 };
	assert_int_equal(machine_publish_add(m, &publish, NULL), 0);
	return m;
}

/* A machine as this host wants new ones. */
static struct machine *here_machine(void)
{
	struct machine *m = machine_new("ours");
	m->image = xstrdup("our-image");
	m->home_mount = MACHINE_HOME_RO;
	m->cpus = 2;
	m->memory = UINT64_C(1) << 30;
	m->pids = 1000;
	return m;
}

static const struct machine_member *member_of(const char *json)
{
	for (const struct machine_member *m = machine_members; m->json; m++)
		if (streq(m->json, json))
			return m;
	return NULL;
}

/* A new member, or a new key of `set`, needs a mark that says whether it opens the host. */
static void every_member_is_marked(void **state)
{
	AUTO_MACHINE struct machine *full = full_machine();
	AUTO_JSON struct json_object *o = machine_to_json(full);
	size_t count = 0;
	json_object_object_foreach(o, key, value)
	{
		const struct machine_member *m = member_of(key);
		if (!m || !value)
			fail_msg("machine.json has \"%s\": give it a line in machine_members (src/machine/adopt.c), "
				 "and a value in this test",
			    key);
		assert_in_range(m->kind, MACHINE_MEMBER_HERE, MACHINE_MEMBER_OPENING);
		assert_int_equal(m->amount != NULL, m->kind == MACHINE_MEMBER_AMOUNT);
		count++;
	}
	for (const struct machine_member *m = machine_members; m->json; m++)
		count--;
	assert_int_equal(count, 0);
	for (const struct machine_key *k = machine_keys; k->key; k++) {
		int found = 0;
		for (const struct machine_member *m = machine_members; m->json; m++)
			found += streq(m->key, streq(k->key, "env.NAME") ? "env" : k->key);
		if (found != 1)
			fail_msg("the key \"%s\" of set has %d lines in machine_members (src/machine/adopt.c)", k->key,
			    found);
	}
}

/* Without trust the machine gets only the members that open nothing; left_out names the others. */
static void a_file_opens_nothing(void **state)
{
	AUTO_MACHINE struct machine *full = full_machine(), *here = here_machine(), *m = NULL;
	AUTO_JSON struct json_object *settings = machine_to_json(full), *ours = machine_to_json(here), *got = NULL;
	AUTO_STRV struct strv left_out = { 0 };
	assert_int_equal(machine_adopt(here, settings, 0, &m, &left_out, NULL), 0);
	got = machine_to_json(m);
	for (const struct machine_member *member = machine_members; member->json; member++) {
		struct json_object *a = NULL, *b = NULL, *c = NULL;
		json_object_object_get_ex(got, member->json, &a);
		json_object_object_get_ex(ours, member->json, &b);
		json_object_object_get_ex(settings, member->json, &c);
		assert_true(json_object_equal(a, member->kind == MACHINE_MEMBER_INSIDE ? c : b));
	}
	static const char *const texts[] = { "home-mount=rw (ro here)", "cpus=512 (2 here)", "memory=16T (1G here)",
		"disk-size=64T (100G here)", "pids=4194304 (1000 here)", "mount /etc:/srv:ro",
		"publish 0.0.0.0:8080:80", "host-access=true", "auto-ports=on", "socketcall=true", "env LD_PRELOAD",
		"owner-map=root", "share-locks=host", "transport=vsock", "proxy=http://***@proxy.example:3128" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(strv_contains(&left_out, texts[i]));
	/* and the kernel and its modules, whose paths are the test's */
	assert_int_equal(left_out.count, ARRAY_SIZE(texts) + 2);
}

static void trust_takes_the_file_as_it_is(void **state)
{
	AUTO_MACHINE struct machine *full = full_machine(), *here = here_machine(), *m = NULL;
	AUTO_JSON struct json_object *settings = machine_to_json(full), *ours = machine_to_json(here), *got = NULL;
	AUTO_STRV struct strv left_out = { 0 };
	assert_int_equal(machine_adopt(here, settings, 1, &m, &left_out, NULL), 0);
	assert_int_equal(left_out.count, 0);
	got = machine_to_json(m);
	for (const struct machine_member *member = machine_members; member->json; member++) {
		struct json_object *a = NULL, *b = NULL;
		json_object_object_get_ex(got, member->json, &a);
		json_object_object_get_ex(member->kind == MACHINE_MEMBER_HERE ? ours : settings, member->json, &b);
		assert_true(json_object_equal(a, b));
	}
}

/* A file that says nothing gives here's machine; an unknown member is dropped. */
static void silence_is_here(void **state)
{
	AUTO_MACHINE struct machine *here = here_machine(), *m = NULL;
	AUTO_JSON struct json_object *settings = json_object_new_object(), *ours = machine_to_json(here), *got = NULL;
	AUTO_STRV struct strv left_out = { 0 };
	json_add_string(settings, "device", "/dev/mem");
	for (int trust = 0; trust <= 1; trust++) {
		assert_int_equal(machine_adopt(here, settings, trust, &m, &left_out, NULL), 0);
		got = machine_to_json(m);
		assert_true(json_object_equal(got, ours));
		json_object_put(got);
		got = NULL;
		machine_free(TAKE_PTR(m));
	}
	assert_int_equal(left_out.count, 0);
}

static void the_stricter_home_and_the_smaller_amount(void **state)
{
	AUTO_MACHINE struct machine *here = here_machine();
	for (int theirs = MACHINE_HOME_RW; theirs <= MACHINE_HOME_NONE; theirs++) {
		for (int ours = MACHINE_HOME_RW; ours <= MACHINE_HOME_NONE; ours++) {
			AUTO_MACHINE struct machine *m = NULL;
			AUTO_JSON struct json_object *settings = json_object_new_object();
			AUTO_STRV struct strv left_out = { 0 };
			json_add_string(settings, "home_mount", machine_home_words[theirs]);
			json_add_u64(settings, "cpus", (uint64_t)theirs + 1);
			here->home_mount = ours;
			assert_int_equal(machine_adopt(here, settings, 0, &m, &left_out, NULL), 0);
			assert_int_equal(m->home_mount, MAX(theirs, ours));
			assert_int_equal(m->cpus, MIN(theirs + 1, 2));
			assert_int_equal(left_out.count, (theirs < ours) + (theirs + 1 > 2));
		}
	}
}

/* Checks cover the members that are left out too. */
static void a_wrong_file_is_refused(void **state)
{
	static const char *const bad[] = { "[]", "{\"mounts\":7}",
		"{\"mounts\":[{\"host\":\"/a\",\"inside\":\"/srv/../etc\"}]}",
		"{\"mounts\":[{\"host\":\"/a\",\"inside\":\"/dev/x\"}]}", "{\"publish\":[\"1:1\",\"1:1\"]}",
		"{\"env\":[\"=x\"]}", "{\"memory\":1}", "{\"disk_size\":70368744177665}", "{\"cpus\":513}",
		"{\"transport\":\"usb\"}", "{\"host_access\":\"true\"}", "{\"version\":2}" };
	AUTO_MACHINE struct machine *here = here_machine();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_MACHINE struct machine *m = NULL;
		AUTO_JSON struct json_object *settings = json_tokener_parse(bad[i]);
		AUTO_STRV struct strv left_out = { 0 };
		for (int trust = 0; trust <= 1; trust++) {
			AUTO_ERROR struct error *err = NULL;
			assert_true(machine_adopt(here, settings, trust, &m, &left_out, &err) < 0);
			assert_null(m);
			assert_non_null(err);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_member_is_marked),
		cmocka_unit_test(a_file_opens_nothing), cmocka_unit_test(trust_takes_the_file_as_it_is),
		cmocka_unit_test(silence_is_here), cmocka_unit_test(the_stricter_home_and_the_smaller_amount),
		cmocka_unit_test(a_wrong_file_is_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
