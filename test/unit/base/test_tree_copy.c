/* SPDX-License-Identifier: Apache-2.0
 * Copies of trees: what they keep. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/tree_copy.h"

enum { HOLE = 8 << 20 };

static char *directory;
static int from = -1, to = -1;

static int open_folder(const char *name)
{
	AUTOFREE char *path = path_join(directory, name);
	assert_int_equal(mkdir(path, 0750), 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	directory = folder_new();
	from = open_folder("from");
	to = open_folder("to");
	return 0;
}

static int teardown(void **state)
{
	fd_close(from);
	fd_close(to);
	folder_remove(directory);
	return 0;
}

static void make_file(const char *path, mode_t mode, const char *text, off_t at)
{
	AUTO_FD int fd = openat(from, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static struct stat seen(int folder, const char *path)
{
	struct stat st = { 0 };
	assert_int_equal(fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void same(const char *path)
{
	struct stat a = seen(from, path), b = seen(to, path);
	assert_int_equal(a.st_mode, b.st_mode);
	assert_int_equal(a.st_uid, b.st_uid);
	assert_int_equal(a.st_gid, b.st_gid);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	if (!S_ISDIR(a.st_mode))
		assert_int_equal(a.st_size, b.st_size);
}

static void modes_times_links_and_kinds_are_kept(void **state)
{
	static const struct timespec times[] = { { 5, 6 }, { 7, 8 } };
	char target[16] = { 0 };
	assert_int_equal(mkdirat(from, "d", 0700), 0);
	assert_int_equal(mkdirat(from, "d/deep", 0700), 0);
	make_file("d/first", 0640, "content", 0);
	make_file("empty", 0400, "", 0);
	assert_int_equal(fchmodat(from, "empty", 04555, 0), 0);
	assert_int_equal(linkat(from, "d/first", from, "d/deep/second", 0), 0);
	assert_int_equal(symlinkat("/nowhere", from, "link"), 0);
	assert_int_equal(linkat(from, "link", from, "also", 0), 0);
	assert_int_equal(mkfifoat(from, "fifo", 0622), 0);
	assert_int_equal(fchmodat(from, "d/deep", 02555, 0), 0);
	static const char *const paths[] = { "d/first", "d/deep/second", "empty", "link", "also", "fifo", "d/deep", "d",
		"." };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(utimensat(from, paths[i], times, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(tree_copy(from, to, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		same(paths[i]);
	assert_int_equal(seen(to, "d/first").st_ino, seen(to, "d/deep/second").st_ino);
	assert_int_equal(seen(to, "link").st_ino, seen(to, "also").st_ino);
	assert_int_equal(seen(to, "d/first").st_nlink, 2);
	assert_true(seen(to, "d/first").st_ino != seen(from, "d/first").st_ino);
	assert_int_equal(readlinkat(to, "link", target, sizeof target), 8);
	assert_string_equal(target, "/nowhere");
	assert_int_equal(fchmodat(from, "d/deep", 0700, 0), 0);
	assert_int_equal(fchmodat(to, "d/deep", 0700, 0), 0);
}

static void holes_stay_holes(void **state)
{
	char end[4] = { 0 };
	make_file("sparse", 0600, "end", HOLE);
	AUTO_FD int grown = openat(from, "sparse", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(grown, 2 * HOLE), 0);
	assert_int_equal(tree_copy(from, to, NULL), 0);
	AUTO_FD int copy = openat(to, "sparse", O_RDONLY | O_CLOEXEC);
	assert_int_equal(seen(to, "sparse").st_size, 2 * HOLE);
	assert_int_equal(pread(copy, end, 3, HOLE), 3);
	assert_string_equal(end, "end");
	/* A file system without holes has all blocks in both. */
	assert_true(seen(to, "sparse").st_blocks <= seen(from, "sparse").st_blocks + 8);
}

static void attributes_are_kept(void **state)
{
	char value[8] = { 0 };
	make_file("f", 0600, "x", 0);
	AUTO_FD int f = openat(from, "f", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(f, "user.overlay.whiteout", "y", 1, 0) < 0 ||
	    fsetxattr(from, "user.overlay.opaque", "x", 1, 0) < 0)
		skip();
	assert_int_equal(tree_copy(from, to, NULL), 0);
	AUTO_FD int copy = openat(to, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(copy, "user.overlay.whiteout", value, sizeof value), 1);
	assert_int_equal(value[0], 'y');
	assert_int_equal(fgetxattr(to, "user.overlay.opaque", value, sizeof value), 1);
}

static void an_error_names_the_path(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(mkdirat(from, "d", 0700), 0);
	make_file("d/f", 0600, "x", 0);
	assert_int_equal(mkdirat(to, "d", 0700), 0);
	assert_int_equal(tree_copy(from, to, &err), -EEXIST);
	assert_string_equal(error_text(err, 0), "d: File exists");
}

static void deep_trees_have_an_end(void **state)
{
	AUTO_FD int at = fcntl(from, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < 1100; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		fd_close(at);
		at = next;
	}
	int r = tree_copy(from, to, NULL);
	assert_true(r == -ELOOP || r == -EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(modes_times_links_and_kinds_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(holes_stay_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(attributes_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(an_error_names_the_path, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_trees_have_an_end, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
