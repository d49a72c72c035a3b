/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/path.h"
#include "idmap/idmap.h"
#include "idmap/storage.h"

static char *uids(const struct idmap *m)
{
	return idmap_format(m->uids, m->uid_count, ',');
}

static void own_id_in_the_middle(void **state)
{
	struct idmap m;
	assert_int_equal(idmap_make("bob:1:5\nalice:100000:65536\n", "alice:200000:65536\n", "alice", 1000, 100, &m,
			     NULL),
	    0);
	AUTOFREE char *u = uids(&m);
	AUTOFREE char *g = idmap_format(m.gids, m.gid_count, ',');
	assert_string_equal(u, "0 100000 1000,1000 1000 1,1001 101000 64536");
	assert_string_equal(g, "0 200000 100,100 100 1,101 200100 65436");
	uint32_t id = 0;
	assert_true(idmap_outside(m.uids, m.uid_count, 1000, &id) && id == 1000);
	assert_true(idmap_outside(m.uids, m.uid_count, 1001, &id) && id == 101000);
	assert_true(idmap_inside(m.uids, m.uid_count, 100000, &id) && id == 0);
	assert_false(idmap_outside(m.uids, m.uid_count, 70000, &id));
}

static void several_ranges_and_a_number_for_a_name(void **state)
{
	struct idmap m;
	assert_int_equal(idmap_make("1000:100000:500\nalice:300000:70000\n", "1000:100000:65536", "alice", 1000, 1000,
			     &m, NULL),
	    0);
	AUTOFREE char *u = uids(&m);
	assert_string_equal(u, "0 100000 500,500 300000 500,1000 1000 1,1001 300500 69500");
}

static void own_id_beyond_the_ranges(void **state)
{
	struct idmap m;
	assert_int_equal(idmap_make("a:100000:65536", "a:100000:65536", "a", 1234567, 65536, &m, NULL), 0);
	AUTOFREE char *u = uids(&m);
	AUTOFREE char *g = idmap_format(m.gids, m.gid_count, ',');
	assert_string_equal(u, "0 100000 65536,1234567 1234567 1");
	assert_string_equal(g, "0 100000 65536,65536 65536 1");
}

static void root_maps_into_its_range(void **state)
{
	struct idmap m;
	assert_int_equal(idmap_make("root:100000:65536", "root:100000:65536", "root", 0, 0, &m, NULL), 0);
	AUTOFREE char *u = uids(&m);
	assert_string_equal(u, "0 100000 65536");
	assert_true(m.by_root);
}

static void no_range_names_the_command(void **state)
{
	struct idmap m;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(idmap_make("bob:100000:65536\nalice:165536:1000\nalice:x:65536\nalice:0:65536", "", "alice",
			     1000, 1000, &m, &err),
	    -ENOENT);
	assert_non_null(
	    strstr(err->text, "sudo usermod --add-subuids 166536-232071 --add-subgids 166536-232071 alice"));
	assert_int_equal(idmap_make("", "", "root", 0, 0, &m, NULL), -ENOENT);
	error_clear(&err);
	assert_int_equal(idmap_make("bob:100000:65536", "", "4242", 4242, 4242, &m, &err), -ENOENT);
	assert_non_null(strstr(err->text, "no entry in passwd"));
	assert_non_null(strstr(err->text, "4242:165536:65536"));
}

static void the_group_of_root_is_refused(void **state)
{
	struct idmap m;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(idmap_make("a:100000:65536", "a:100000:65536", "a", 1000, 0, &m, &err), -EINVAL);
	assert_non_null(strstr(err->text, "gid 0"));
	/* Without ranges there is one id only, which needs no group of its own. */
	assert_int_equal(idmap_make("", "", "a", 1000, 0, &m, NULL), -ENOENT);
}

static char *for_containers(const char *ranges, uint32_t uid, int inside)
{
	struct idmap m, onto, c;
	assert_int_equal(idmap_make(ranges, "alice:100000:65536", "alice", uid, 1000, &m, NULL), 0);
	idmap_onto_itself(&m, &onto);
	idmap_for_containers(inside ? &onto : &m, uid, 1000, &c);
	return uids(&c);
}

/* Root in a container is the user, and the machine's root is in none. */
static void containers(void **state)
{
	AUTOFREE char *inside = for_containers("alice:100000:65536", 1000, 1),
		      *outside = for_containers("alice:100000:65536", 1000, 0),
		      *cut = for_containers("alice:100000:500\nalice:300000:70000", 1000, 0),
		      *cut_inside = for_containers("alice:100000:500\nalice:300000:70000", 1000, 1),
		      *highest = for_containers("alice:100000:65536", 65535, 1),
		      *beyond = for_containers("alice:100000:65536", 1234567, 0),
		      *first = for_containers("alice:100000:65536", 1, 1);
	assert_string_equal(inside, "0 1000 1,1 1 999,1000 65536 1,1001 1001 64535");
	assert_string_equal(outside, "0 1000 1,1 100001 999,1000 165535 1,1001 101000 64535");
	assert_string_equal(cut, "0 1000 1,1 100001 499,500 300000 500,1000 365035 1,1001 300500 64535");
	assert_string_equal(cut_inside, "0 1000 1,1 1 499,500 500 500,1000 65536 1,1001 1001 64535");
	assert_string_equal(highest, "0 65535 1,1 1 65534,65535 65536 1");
	assert_string_equal(beyond, "0 1234567 1,1 100001 65535");
	assert_string_equal(first, "0 1 1,1 65536 1,2 2 65534");
}

static void containers_of_root_and_of_one_id(void **state)
{
	struct idmap m, c;
	assert_int_equal(idmap_make("root:100000:65536", "root:100000:65536", "root", 0, 0, &m, NULL), 0);
	idmap_for_containers(&m, 0, 0, &c);
	AUTOFREE char *u = uids(&c);
	assert_string_equal(u, "0 100000 65536");
	const struct idmap one = { .uids = { { 0, 7, 1 } },
		.gids = { { 0, 7, 1 } },
		.uid_count = 1,
		.gid_count = 1,
		.single = 1 };
	idmap_for_containers(&one, 7, 7, &c);
	AUTOFREE char *single = uids(&c);
	assert_string_equal(single, "0 7 1");
}

static void a_range_with_the_own_id_is_refused(void **state)
{
	struct idmap m;
	assert_int_equal(idmap_make("a:500:65536", "a:100000:65536", "a", 1000, 1000, &m, NULL), -EINVAL);
}

static void tags_differ_with_the_mapping(void **state)
{
	struct idmap a, b;
	idmap_make("a:100000:65536", "a:100000:65536", "a", 1000, 1000, &a, NULL);
	idmap_make("a:100000:65536", "a:200000:65536", "a", 1000, 1000, &b, NULL);
	AUTOFREE char *first = idmap_tag(&a), *again = idmap_tag(&a), *other = idmap_tag(&b);
	assert_int_equal(strlen(first), 8);
	assert_string_equal(first, again);
	assert_string_not_equal(first, other);
}

static void onto_itself_keeps_the_ranges(void **state)
{
	struct idmap m, nested;
	idmap_make("alice:100000:65536", "alice:100000:65536", "alice", 1000, 1000, &m, NULL);
	idmap_onto_itself(&m, &nested);
	AUTOFREE char *u = uids(&nested);
	assert_string_equal(u, "0 0 1000,1000 1000 1,1001 1001 64536");
}

static int say_map(void *data, struct error **err)
{
	AUTOFREE char *text = NULL;
	if (getuid() != 0 || path_read_file("/proc/self/uid_map", 4096, &text, NULL) < 0)
		return error_set(err, EIO, "not root");
	return error_set(err, ERANGE, "the map is %s", text);
}

static void runs_inside_and_brings_the_error_back(void **state)
{
	struct idmap m;
	AUTO_ERROR struct error *err = NULL;
	if (idmap_of_user_or_single(&m, NULL) < 0)
		skip();
	int r = idmap_run(&m, say_map, NULL, &err);
	if (r == -EPERM)
		skip(); /* a host without user namespaces */
	assert_int_equal(r, -ERANGE);
	assert_non_null(strstr(err->text, "the map is"));
	int ns = idmap_open_namespace(&m, NULL);
	if (geteuid() != 0 && !m.single) {
		assert_int_equal(ns, -EACCES);
		return;
	}
	assert_true(ns >= 0);
	close(ns);
}

/* A container's id has one number in archives, whatever it is on the disk of a machine. */
static void owners_of_containers_files(void **state)
{
	static const struct {
		uint32_t native, archive, vm;
	} cases[] = {
		{ 1000, STORAGE_IDS_FIRST, 1000 }, /* root in the container */
		{ 1, STORAGE_IDS_FIRST + 1, STORAGE_IDS_FIRST + 1 },
		{ 65536, STORAGE_IDS_FIRST + 1000, STORAGE_IDS_FIRST + 1000 },
		{ 1001, STORAGE_IDS_FIRST + 1001, STORAGE_IDS_FIRST + 1001 },
		{ 65535, STORAGE_IDS_FIRST + 65535, STORAGE_IDS_FIRST + 65535 }, { 0, 0, 0 }, /* the engine */
	};
	static const char file[] = "./var/lib/holm/storage/ID/upper/file";
	struct idmap user, machine, native, vm;
	assert_int_equal(idmap_make("alice:100000:65536\n", "alice:100000:65536\n", "alice", 1000, 1000, &user, NULL),
	    0);
	idmap_onto_itself(&user, &machine);
	idmap_for_containers(&machine, 1000, 1000, &native);
	storage_ids_of_vm(1000, 1000, &vm);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t uid = cases[i].native, gid = uid;
		storage_ids_to_archive(&native, file, &uid, &gid);
		assert_true(uid == cases[i].archive && gid == uid);
		storage_ids_from_archive(&vm, file, &uid, &gid);
		assert_true(uid == cases[i].vm && gid == uid);
		storage_ids_to_archive(&vm, file + 1, &uid, &gid);
		assert_true(uid == cases[i].archive && gid == uid);
		storage_ids_from_archive(&native, file + 2, &uid, &gid);
		assert_true(uid == cases[i].native && gid == uid);
	}
	uint32_t uid = 1000, gid = STORAGE_IDS_FIRST;
	storage_ids_to_archive(&native, "var/lib/holm/storage2/file", &uid, &gid);
	storage_ids_from_archive(&native, "var/lib/holm/storage/", &uid, &gid);
	assert_true(uid == 1000 && gid == STORAGE_IDS_FIRST);
	/* Of a container with the machine's ids. */
	gid = 33;
	storage_ids_to_archive(&native, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER "/file", &uid, &gid);
	storage_ids_from_archive(&vm, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER, &uid, &gid);
	assert_true(uid == 1000 && gid == 33);
	uid = gid = 0;
	storage_ids_to_archive(&native, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER "/file", &uid, &gid);
	storage_ids_from_archive(&vm, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER "/file", &uid, &gid);
	assert_true(uid == STORAGE_IDS_FIRST && gid == uid);
	storage_ids_to_archive(&vm, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER "/file", &uid, &gid);
	storage_ids_from_archive(&native, "var/lib/holm/storage/ID/" STORAGE_OWN_UPPER "/file", &uid, &gid);
	assert_true(uid == 0 && gid == 0);
	uid = 1000;
	storage_ids_to_archive(&native, "var/lib/holm/storage/volumes" STORAGE_OWN_UPPER "/file", &uid, &gid);
	assert_true(uid == STORAGE_IDS_FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_id_in_the_middle),
		cmocka_unit_test(several_ranges_and_a_number_for_a_name),
		cmocka_unit_test(own_id_beyond_the_ranges),
		cmocka_unit_test(root_maps_into_its_range),
		cmocka_unit_test(the_group_of_root_is_refused),
		cmocka_unit_test(no_range_names_the_command),
		cmocka_unit_test(containers),
		cmocka_unit_test(containers_of_root_and_of_one_id),
		cmocka_unit_test(owners_of_containers_files),
		cmocka_unit_test(a_range_with_the_own_id_is_refused),
		cmocka_unit_test(tags_differ_with_the_mapping),
		cmocka_unit_test(onto_itself_keeps_the_ranges),
		cmocka_unit_test(runs_inside_and_brings_the_error_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
