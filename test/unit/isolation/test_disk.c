/* SPDX-License-Identifier: Apache-2.0
 * Machines' disks: created over an image, cloned, removed; qemu-img is the judge of the chains
 * where it is installed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "clones.h"
#include "disk/qcow2.h"
#include "isolation/isolation.h"

static char *folder;
static char *image;

static int set_up(void **state)
{
	folder = folder_new();
	setenv("XDG_DATA_HOME", folder, 1);
	image = path_join(folder, "image.ext4");
	AUTO_FD int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0400);
	return fd < 0 || ftruncate(fd, 8 << 20) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	folder_remove(folder);
	free(image);
	return 0;
}

static struct machine machine(const char *name)
{
	return (struct machine){ .name = (char *)name, .image_disk = image, .disk_size = 1 << 30 };
}

static char *directory_of(const char *name)
{
	char *directory = machine_dir(name);
	assert_int_equal(path_mkdir_all(directory, 0700, NULL), 0);
	return directory;
}

static int create(const char *name)
{
	const struct machine m = machine(name);
	AUTOFREE char *directory = directory_of(name);
	return isolation_vm_disk.create(&m, directory, NULL);
}

static int clone(const char *from, const char *to)
{
	const struct machine f = machine(from), t = machine(to);
	AUTOFREE char *directory = directory_of(to);
	return isolation_vm_disk.clone(&f, &t, directory, NULL);
}

static void delete (const char *name)
{
	const struct machine m = machine(name);
	AUTOFREE char *directory = machine_dir(name);
	path_remove_tree(AT_FDCWD, directory);
	assert_int_equal(isolation_vm_disk.remove(&m, NULL), 0);
}

/* As if the machine had run: the file gets longer. */
static void write_something(const char *name)
{
	AUTOFREE char *disk = machine_file(name, "disk.qcow2");
	AUTO_FD int fd = open(disk, O_WRONLY | O_APPEND | O_CLOEXEC);
	char data[65536] = { 1 };
	assert_int_equal(fd_write_full(fd, data, sizeof(data)), 0);
}

static int count(const char *backing, const char *format, void *data)
{
	++*(int *)data;
	return 0;
}

/* Below them is the image. */
static int bases_of(const char *name)
{
	AUTOFREE char *disk = machine_file(name, "disk.qcow2");
	int n = 0;
	assert_int_equal(qcow2_walk_chain(disk, count, &n, NULL), 0);
	char *argv[] = { (char *)"qemu-img", (char *)"info", (char *)"--backing-chain", disk, NULL };
	AUTOFREE char *output = NULL;
	int r = spawn_capture(argv, 1 << 20, clock_deadline(60000), &output, NULL);
	assert_true(r == 0 || r == -ENOENT);
	return n - 1;
}

static int base_count(void)
{
	AUTOFREE char *list = xasprintf("%s/holm/machines/.bases", folder);
	char *argv[] = { (char *)"find", list, (char *)"-name", (char *)"*.qcow2", NULL };
	AUTOFREE char *output = NULL;
	int lines = 0;
	assert_int_equal(spawn_capture(argv, 1 << 16, clock_deadline(60000), &output, NULL), 0);
	for (const char *c = output; *c; c++)
		lines += *c == '\n';
	return lines;
}

/* A removal beside a machine whose disk is damaged works, and keeps what that one may stand on. */
static void test_damaged_neighbour(void **state)
{
	assert_int_equal(create("a"), 0);
	write_something("a");
	assert_int_equal(clone("a", "b"), 0);
	assert_int_equal(create("hurt"), 0);
	AUTOFREE char *disk = machine_file("hurt", "disk.qcow2");
	assert_int_equal(truncate(disk, 10), 0);
	delete ("a");
	delete ("b");
	assert_int_equal(base_count(), 1);
	delete ("hurt");
	assert_int_equal(base_count(), 0);
}

static void test_create(void **state)
{
	uint64_t used = 0;
	int64_t when = 1;
	assert_int_equal(create("one"), 0);
	assert_int_equal(bases_of("one"), 0);
	const struct machine m = machine("one");
	assert_int_equal(isolation_vm_disk.disk_usage(&m, &used, &when), 0);
	assert_true(used < 1 << 20);
	struct machine small = machine("small");
	small.disk_size = 1 << 20;
	AUTOFREE char *directory = directory_of("small");
	assert_int_equal(isolation_vm_disk.create(&small, directory, NULL), -EINVAL);
	delete ("small");
	delete ("one");
}

static const struct clones clones = { create, clone, write_something, delete, bases_of, base_count };

static void test_clone(void **state)
{
	clones_share_bases(&clones);
}

static void test_chain_ends(void **state)
{
	clones_end(&clones, QCOW2_CHAIN_MAX - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_damaged_neighbour),
		cmocka_unit_test(test_clone),
		cmocka_unit_test(test_chain_ends),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
