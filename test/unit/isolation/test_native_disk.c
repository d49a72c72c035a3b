/* SPDX-License-Identifier: Apache-2.0
 * Native machines' folders: created over an image's trees, cloned, removed. Files of subordinate
 * ids are test/cli/native_disks.bats's. */
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
#include "base/fd.h"
#include "base/path.h"
#include "clones.h"
#include "isolation/bases.h"
#include "isolation/isolation.h"

static char *folder;
static char *tree;

static int set_up(void **state)
{
	folder = folder_new();
	setenv("XDG_DATA_HOME", folder, 1);
	tree = path_join(folder, "sha256-00-0-v1");
	return mkdir(tree, 0755);
}

static int tear_down(void **state)
{
	folder_remove(folder);
	free(tree);
	return 0;
}

static struct machine machine(const char *name)
{
	return (struct machine){ .name = (char *)name, .image_trees = { &tree, 1 }, .form = MACHINE_ISOLATION_NATIVE };
}

static int create(const char *name)
{
	const struct machine m = machine(name);
	AUTOFREE char *directory = machine_dir(name);
	assert_int_equal(path_mkdir_all(directory, 0700, NULL), 0);
	return isolation_native_disk.create(&m, directory, NULL);
}

static int clone(const char *from, const char *to)
{
	const struct machine f = machine(from), t = machine(to);
	AUTOFREE char *directory = machine_dir(to);
	assert_int_equal(path_mkdir_all(directory, 0700, NULL), 0);
	return isolation_native_disk.clone(&f, &t, directory, NULL);
}

static void delete (const char *name)
{
	const struct machine m = machine(name);
	AUTOFREE char *directory = machine_dir(name);
	assert_int_equal(isolation_native_disk.erase(directory, NULL), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(isolation_native_disk.remove(&m, NULL), 0);
}

/* As if the machine had run. */
static void write_something(const char *name)
{
	AUTOFREE char *upper = machine_file(name, "native/upper/etc"), *work = machine_file(name, "native/work/work");
	assert_int_equal(path_mkdir_all(upper, 0755, NULL), 0);
	assert_int_equal(path_mkdir_all(work, 0755, NULL), 0);
	assert_int_equal(chmod(work, 0), 0); /* as overlayfs makes it */
}

static int bases_of(const char *name)
{
	AUTOFREE char *file = machine_file(name, "native/bases"), *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	if (path_read_file(file, 1 << 20, &text, NULL) == 0)
		strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTOFREE char *written = path_join(lines.items[i], "etc");
		assert_true(path_exists(written));
	}
	return (int)lines.count;
}

static int base_count(void)
{
	AUTOFREE char *bases = bases_folder();
	AUTO_FD int fd = open(bases, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return (int)st.st_nlink - 2;
}

static void test_create(void **state)
{
	const struct machine m = machine("one");
	struct machine empty = machine("two");
	uint64_t used = 1;
	int64_t when = 1;
	assert_int_equal(create("one"), 0);
	assert_int_equal(create("one"), -EEXIST);
	assert_int_equal(isolation_native_disk.disk_usage(&m, &used, &when), 0);
	assert_int_equal(used, 0);
	AUTOFREE char *upper = machine_file("one", "native/upper"), *usage = machine_file("one", "native/usage");
	assert_int_equal(mkdir(upper, 0755), 0);
	assert_int_equal(isolation_native_disk.disk_usage(&m, &used, &when),
	    -ENODATA); /* it runs and was not measured yet */
	AUTO_FD int fd = open(usage, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_full(fd, "4096\n", 5), 0);
	assert_int_equal(isolation_native_disk.disk_usage(&m, &used, &when), 0);
	assert_int_equal(used, 4096);
	assert_true(when > 0);
	empty.image_trees = (struct strv){ 0 };
	assert_int_equal(isolation_native_disk.create(&empty, folder, NULL), -EINVAL);
	delete ("one");
}

static void test_lost_tree(void **state)
{
	char *lost = (char *)"/nonexistent/tree";
	struct machine m = machine("one");
	AUTO_ERROR struct error *err = NULL;
	m.image_trees = (struct strv){ &lost, 1 };
	assert_int_equal(isolation_native_disk.create(&m, folder, &err), -ENOENT);
	assert_non_null(strstr(err->text, lost));
}

static const struct clones clones = { create, clone, write_something, delete, bases_of, base_count };

static void test_clone(void **state)
{
	clones_share_bases(&clones);
}

/* There is nothing to share. */
static void test_clone_before_the_first_start(void **state)
{
	assert_int_equal(create("source"), 0);
	assert_int_equal(clone("source", "copy"), 0);
	assert_int_equal(bases_of("source"), 0);
	assert_int_equal(bases_of("copy"), 0);
	delete ("source");
	delete ("copy");
}

/* What a clone that crashed before its one decisive step leaves: a base that nobody names. And a
 * list that cannot be read keeps everything. */
static void test_leftovers(void **state)
{
	const struct machine m = machine("a");
	AUTOFREE char *bases = bases_folder(), *left = path_join(bases, "0123456789abcdef"),
		      *other = path_join(bases, "something-else");
	assert_int_equal(create("a"), 0);
	assert_int_equal(path_mkdir_all(left, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(other, 0700, NULL), 0);
	AUTOFREE char *list = machine_file("a", "native/bases");
	assert_int_equal(mkdir(list, 0700), 0);
	assert_int_equal(isolation_native_disk.remove(&m, NULL), 0);
	assert_true(path_exists(left));
	assert_int_equal(rmdir(list), 0);
	assert_int_equal(isolation_native_disk.remove(&m, NULL), 0);
	assert_false(path_exists(left));
	assert_true(path_exists(other));
	assert_int_equal(rmdir(other), 0);
	delete ("a");
}

static void test_layers_end(void **state)
{
	clones_end(&clones, 64);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A cgroup's directory goes though it has others in it; here ordinary ones stand for them. */
static void test_killed_keepers_cgroup(void **state)
{
	AUTOFREE char *directory = machine_dir("killed"), *file = path_join(directory, "native/cgroup");
	AUTOFREE char *group = path_join(folder, "holm-killed-1.scope"), *below = path_join(group, "holm-machine/init"),
		      *foreign = path_join(folder, "user.slice");
	assert_int_equal(create("killed"), 0);
	assert_int_equal(path_mkdir_all(below, 0700, NULL), 0);
	assert_int_equal(mkdir(foreign, 0700), 0);
	put(file, group);
	assert_int_equal(isolation_native_disk.erase(directory, NULL), 0);
	assert_false(path_exists(group));
	/* Nothing else is touched, whatever the file says. */
	assert_int_equal(create("killed"), 0);
	put(file, foreign);
	assert_int_equal(isolation_native_disk.erase(directory, NULL), 0);
	assert_true(path_exists(foreign));
}

/* Returns the text that erasing a machine writes to stderr. Owned. */
static char *warnings_of_erasing(const char *directory)
{
	AUTOFREE char *path = path_join(folder, "stderr");
	char *text = NULL;
	AUTO_FD int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
		    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(saved >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	int r = isolation_native_disk.erase(directory, NULL);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_int_equal(r, 0);
	assert_true(path_read_file(path, 4096, &text, NULL) >= 0);
	return text;
}

/* A cgroup has no files that somebody made: one with such a file cannot be removed, whichever ids
 * the user has. */
static void test_cgroup_that_stays_is_named(void **state)
{
	AUTOFREE char *directory = machine_dir("killed"), *file = path_join(directory, "native/cgroup");
	AUTOFREE char *group = path_join(folder, "holm-killed-2.scope"), *inside = path_join(group, "file");
	assert_int_equal(create("killed"), 0);
	assert_int_equal(mkdir(group, 0700), 0);
	put(inside, "");
	put(file, group);
	AUTOFREE char *said = warnings_of_erasing(directory);
	assert_true(path_exists(group));
	assert_non_null(strstr(said, group));
	assert_non_null(strstr(said, "stays behind: "));
	assert_int_equal(create("killed"), 0);
	put(file, "/nonexistent/holm-killed.scope");
	AUTOFREE char *nothing = warnings_of_erasing(directory);
	assert_string_equal(nothing, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_create), cmocka_unit_test(test_lost_tree),
		cmocka_unit_test(test_clone), cmocka_unit_test(test_clone_before_the_first_start),
		cmocka_unit_test(test_leftovers), cmocka_unit_test(test_layers_end),
		cmocka_unit_test(test_killed_keepers_cgroup), cmocka_unit_test(test_cgroup_that_stays_is_named) };
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
