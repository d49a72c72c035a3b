/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/path.h"
#include "machine/machine.h"

static char *directory;

static int set_up(void **state)
{
	directory = folder_new();
	return setenv("XDG_DATA_HOME", directory, 1) || setenv("XDG_RUNTIME_DIR", directory, 1);
}

static int tear_down(void **state)
{
	folder_remove(directory);
	return 0;
}

static struct machine *new_machine(const char *name)
{
	struct machine *m = machine_new(name);
	m->image = xstrdup("localhost/test:latest");
	return m;
}

static int fill_disk(const struct machine *m, const char *at, void *data, struct error **err)
{
	AUTOFREE char *file = path_join(at, "disk.qcow2");
	AUTO_FD int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : *(int *)data;
}

static void creating(void **state)
{
	int result = 0;
	AUTO_MACHINE struct machine *m = new_machine("dev"), *loaded = NULL;
	AUTO_STRV struct strv names = { 0 };
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(machine_load("dev", &loaded, &err), -ENOENT);
	assert_string_equal(err->text, "no machine \"dev\"; see holm machine ls");
	assert_int_equal(machine_create(m, fill_disk, &result, NULL), 0);
	assert_int_equal(machine_load("dev", &loaded, NULL), 0);
	assert_string_equal(loaded->id, m->id);
	AUTOFREE char *disk = machine_file("dev", "disk.qcow2");
	assert_true(path_exists(disk));
	AUTO_ERROR struct error *taken = NULL;
	assert_int_equal(machine_create(m, fill_disk, &result, &taken), -EEXIST);
	assert_non_null(strstr(taken->text, "\"dev\""));
	assert_int_equal(machine_list(&names, NULL), 0);
	assert_int_equal(names.count, 1);
}

static void failing_leaves_nothing(void **state)
{
	int result = -ENOSPC;
	AUTO_MACHINE struct machine *m = new_machine("half");
	assert_int_equal(machine_create(m, fill_disk, &result, NULL), -ENOSPC);
	AUTO_STRV struct strv names = { 0 };
	assert_int_equal(machine_list(&names, NULL), 0);
	assert_false(strv_contains(&names, "half"));
}

static char erased[4096];
static int refusing;

static int note_erase(const char *path, struct error **err)
{
	snprintf(erased, sizeof erased, "%s", path);
	return refusing ? -EPERM : 0;
}

static void crashed_creations_are_swept(void **state)
{
	int result = 0;
	AUTOFREE char *machines = machine_list_dir(), *old = path_join(machines, ".new-dead"),
		      *young = path_join(machines, ".new-young");
	AUTOFREE char *lock = path_join(old, "config.lock");
	assert_int_equal(mkdir(old, 0700), 0);
	assert_int_equal(mkdir(young, 0700), 0);
	fd_close(open(lock, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	AUTO_MACHINE struct machine *m = new_machine("sweeper");
	assert_int_equal(machine_create(m, fill_disk, &result, NULL), 0);
	refusing = 1;
	machine_sweep(note_erase);
	assert_true(path_exists(old));
	refusing = 0;
	machine_sweep(note_erase);
	assert_false(path_exists(old));
	assert_string_equal(erased, old);
	assert_true(path_exists(young));
	rmdir(young);
}

/* The linker has the library's calls of lock_file() lead here. */
int real_lock_file(const char *path, enum lock_mode mode, uint64_t deadline_ms, struct error **err) __asm__(
    "__real_lock_file");
int wrap_lock_file(const char *path, enum lock_mode mode, uint64_t deadline_ms, struct error **err) __asm__(
    "__wrap_lock_file");
static int sweeping; /* between the next open and its lock */

int wrap_lock_file(const char *path, enum lock_mode mode, uint64_t deadline_ms, struct error **err)
{
	if (sweeping) {
		sweeping = 0;
		fd_close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
		machine_sweep(note_erase);
	}
	return real_lock_file(path, mode, deadline_ms, err);
}

/* Another process sweeps when the creator has opened its lock and not yet taken it. */
static void creations_are_not_swept_before_they_lock(void **state)
{
	int result = 0;
	AUTO_MACHINE struct machine *m = new_machine("early");
	*erased = 0;
	sweeping = 1;
	assert_int_equal(machine_create(m, fill_disk, &result, NULL), 0);
	assert_false(sweeping);
	assert_string_equal(erased, "");
	AUTO_FD int lock = machine_config_lock("early", 0, NULL);
	assert_true(lock >= 0);
	assert_int_equal(machine_delete("early", NULL, NULL), 0);
}

static void locks(void **state)
{
	assert_int_equal(machine_is_running("dev"), 0);
	AUTO_FD int fd = machine_lock("dev", 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(machine_is_running("dev"), 1);
	assert_int_equal(machine_lock_owner("dev"), getpid());
	assert_int_equal(machine_lock("dev", 0, NULL), -EWOULDBLOCK);
	assert_int_equal(machine_lock("none", 0, NULL), -ENOENT);
	assert_int_equal(machine_is_running("none"), 0);
	fd_close(TAKE_FD(fd));
	assert_int_equal(machine_is_running("dev"), 0);
	assert_int_equal(machine_lock_owner("dev"), 0);
}

static void defaults(void **state)
{
	AUTOFREE char *name = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(machine_default_get(&name, &err), -ENOENT);
	assert_non_null(strstr(err->text, "set-default"));
	assert_int_equal(machine_default_set("dev", NULL), 0);
	assert_int_equal(machine_default_get(&name, NULL), 0);
	assert_string_equal(name, "dev");
}

static void renaming_and_deleting(void **state)
{
	AUTOFREE char *name = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	assert_int_equal(machine_rename("dev", "sweeper", NULL), -EEXIST);
	assert_int_equal(machine_rename("dev", "Bad", NULL), -EINVAL);
	assert_int_equal(machine_rename("dev", "work", NULL), 0);
	assert_int_equal(machine_load("work", &m, NULL), 0);
	assert_string_equal(m->name, "work");
	assert_int_equal(machine_default_get(&name, NULL), 0);
	assert_string_equal(name, "work");
	assert_int_equal(machine_delete("work", note_erase, NULL), 0);
	assert_non_null(strstr(erased, "/.old-")); /* asked once the name was free */
	assert_false(path_exists(erased));
	assert_int_equal(machine_delete("work", NULL, NULL), -ENOENT);
	free(TAKE_PTR(name));
	assert_int_equal(machine_default_get(&name, NULL), -ENOENT);
}

/* Nothing is written that machine_load() would refuse. */
static void what_cannot_be_read_is_not_written(void **state)
{
	AUTO_MACHINE struct machine *m = NULL, *again = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(machine_load("sweeper", &m, NULL), 0);
	assert_int_equal(machine_set(m, "env.A", "x\xff", NULL), 0);
	assert_int_equal(machine_save(m, &err), -EINVAL);
	assert_non_null(strstr(err->text, "UTF-8"));
	assert_int_equal(machine_set(m, "env.A", "two\nlines", NULL), 0);
	assert_int_equal(machine_save(m, NULL), 0);
	assert_int_equal(machine_load("sweeper", &again, NULL), 0);
	assert_string_equal(again->env.items[0], "A=two\nlines");

	struct machine_mount tab = { xstrdup("/tmp/a\tb"), xstrdup("/mnt"), 0 };
	assert_int_equal(machine_mount_add(m, &tab, NULL), 0);
	assert_int_equal(machine_save(m, NULL), -EINVAL);

	AUTOFREE char *long_value = xcalloc(1, 100001);
	memset(long_value, 'x', 100000);
	machine_mount_remove(m, "/mnt", NULL);
	for (int i = 0; i < 50; i++) {
		AUTOFREE char *key = xasprintf("env.B%d", i);
		assert_int_equal(machine_set(m, key, long_value, NULL), 0);
	}
	assert_int_equal(machine_save(m, NULL), -E2BIG);
}

/* A lock that was waited for while the machine got another name locks nothing of that name. */
static void locks_follow_no_rename(void **state)
{
	AUTOFREE char *file = machine_file("sweeper", "config.lock"), *other = machine_file("sweeper", "moved");
	AUTO_FD int held = machine_config_lock("sweeper", 0, NULL), watch = inotify_init1(IN_CLOEXEC);
	assert_true(held >= 0);
	assert_true(inotify_add_watch(watch, file, IN_OPEN) >= 0);
	pid_t child = fork();
	if (child == 0) {
		fd_close(held);
		_exit(machine_config_lock("sweeper", clock_deadline(60000), NULL) == -ENOENT ? 0 : 1);
	}
	assert_int_equal(fd_wait(watch, POLLIN, clock_deadline(60000)), 1); /* it has the file open now, and waits */
	assert_int_equal(rename(file, other), 0);
	fd_close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd_close(TAKE_FD(held));
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	unlink(other);
}

static void damaged_files(void **state)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *file = machine_file("sweeper", "machine.json");
	assert_int_equal(truncate(file, 20), 0);
	assert_true(machine_load("sweeper", &m, &err) < 0);
	assert_non_null(strstr(err->text, "damaged"));
	assert_int_equal(machine_delete("sweeper", NULL, NULL), 0);
}

static void sockets(void **state)
{
	AUTOFREE char *a = machine_socket_path("a", NULL), *b = machine_socket_path("b", NULL),
		      *again = machine_socket_path("a", NULL);
	assert_string_equal(a, again);
	assert_string_not_equal(a, b);
	assert_true(endswith(a, "/api"));
}

static void sockets_of_a_data_folder_that_is_spelled_otherwise(void **state)
{
	AUTOFREE char *a = machine_socket_path("a", NULL), *other = path_join(directory, "spelled"),
		      *moved = path_join(directory, "moved");
	assert_int_equal(symlink(directory, other), 0);
	setenv("XDG_DATA_HOME", other, 1);
	AUTOFREE char *same = machine_socket_path("a", NULL);
	assert_string_equal(a, same);
	assert_int_equal(mkdir(moved, 0700), 0);
	AUTOFREE char *data = path_join(moved, "holm");
	assert_int_equal(mkdir(data, 0700), 0);
	setenv("XDG_DATA_HOME", moved, 1);
	AUTOFREE char *another = machine_socket_path("a", NULL);
	assert_string_not_equal(a, another);
	setenv("XDG_DATA_HOME", directory, 1);
}

static void announced_sockets(void **state)
{
	AUTO_MACHINE struct machine *m = new_machine("told");
	AUTOFREE char *socket = NULL, *found = NULL;
	int result = 0;
	assert_int_equal(machine_create(m, fill_disk, &result, NULL), 0);
	assert_null(machine_socket_find("told"));
	int lock = machine_lock("told", 0, NULL);
	assert_true(lock >= 0);
	assert_null(machine_socket_find("told"));
	socket = machine_socket_path("told", NULL);
	assert_int_equal(machine_lock_announce(lock, socket, NULL), 0);
	found = machine_socket_find("told");
	assert_string_equal(found, socket);
	assert_int_equal(machine_lock_owner("told"), getpid());
	fd_close(lock);
	assert_null(machine_socket_find("told"));
}

/* The next holder of the lock removes the socket that a killed keeper left, but no other's. */
static void stale_sockets(void **state)
{
	AUTOFREE char *socket = machine_socket_path("told", NULL),
		      *others = path_join(directory, "holm/0123456789abcdef/api");
	AUTOFREE char *folder = path_parent(socket), *other_folder = path_parent(others);
	const char *left[] = { socket, others };
	assert_int_equal(path_mkdir_all(other_folder, 0700, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		int lock = machine_lock("told", 0, NULL);
		close(open(left[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		assert_int_equal(machine_lock_announce(lock, left[i], NULL), 0);
		fd_close(lock);
		fd_close(machine_lock("told", 0, NULL));
	}
	assert_false(path_exists(socket));
	assert_false(path_exists(folder));
	assert_true(path_exists(others));
}

static void stops(void **state)
{
	int64_t before = machine_stops("told");
	assert_int_equal(machine_stops("nobody"), 0);
	assert_int_equal(machine_stops_add("nobody", NULL), -ENOENT);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(machine_stops_add("told", NULL), 0);
		int64_t now = machine_stops("told");
		assert_true(now != before && now <= 4096);
		before = now;
	}
}

static void addresses(void **state)
{
	AUTO_MACHINE struct machine *m = new_machine("one"), *loaded = NULL, *other = new_machine("two"), *old = NULL;
	assert_true(machine_address_is_valid(m->address));
	assert_int_equal(machine_create(m, NULL, NULL, NULL), 0);
	machine_address_settle(m); /* its own is no other's */
	assert_int_equal(machine_load("one", &loaded, NULL), 0);
	assert_string_equal(loaded->address, m->address);
	free(other->address);
	other->address = xstrdup(m->address);
	machine_address_settle(other);
	assert_string_not_equal(other->address, m->address);
	assert_true(machine_address_is_valid(other->address));
	/* A file of an older version has none: it is the same at each reading. */
	AUTO_JSON struct json_object *o = machine_to_json(m);
	AUTOFREE char *first = machine_address_from(m->id);
	json_object_object_del(o, "address");
	json_object_object_del(o, "auto_ports");
	assert_int_equal(machine_from_json(o, &old, NULL), 0);
	assert_string_equal(old->address, first);
	assert_int_equal(old->auto_ports, 0);
	/* The one that is kept from the home opens nothing. */
	assert_int_equal(machine_set(old, "auto-ports", "on", NULL), 0);
	assert_int_equal(machine_set(old, "home-mount", "none", NULL), 0);
	assert_int_equal(old->auto_ports, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creating),
		cmocka_unit_test(failing_leaves_nothing),
		cmocka_unit_test(crashed_creations_are_swept),
		cmocka_unit_test(creations_are_not_swept_before_they_lock),
		cmocka_unit_test(locks),
		cmocka_unit_test(defaults),
		cmocka_unit_test(renaming_and_deleting),
		cmocka_unit_test(what_cannot_be_read_is_not_written),
		cmocka_unit_test(locks_follow_no_rename),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(sockets),
		cmocka_unit_test(sockets_of_a_data_folder_that_is_spelled_otherwise),
		cmocka_unit_test(announced_sockets),
		cmocka_unit_test(stale_sockets),
		cmocka_unit_test(stops),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
