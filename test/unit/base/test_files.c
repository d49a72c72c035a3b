/* SPDX-License-Identifier: Apache-2.0
 * Files, locks, processes. Each test works in a fresh directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/path.h"
#include "base/spawn.h"

static char *directory;

static int setup(void **state)
{
	directory = folder_new();
	return 0;
}

static int teardown(void **state)
{
	folder_remove(directory);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	assert_int_equal(atomic_file_write(path, 0600, text, strlen(text), NULL), 0);
}

static void files_are_replaced_whole(void **state)
{
	AUTOFREE char *path = path_join(directory, "f");
	AUTOFREE char *text = NULL;
	write_text(path, "one");
	write_text(path, "two");
	assert_int_equal(path_read_file(path, 100, &text, NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(path_read_file(path, 2, &text, NULL), -EFBIG);
	free(TAKE_PTR(text));
	assert_int_equal(atomic_file_write_cache(path, 0600, "three", 5, NULL), 0);
	assert_int_equal(path_read_file(path, 100, &text, NULL), 0);
	assert_string_equal(text, "three");
}

static void the_sweep_leaves_living_writers_alone(void **state)
{
	AUTO_FD int fd = open(directory, O_RDONLY | O_DIRECTORY);
	AUTOFREE char *stale = path_join(directory, ".tmp-0000000000000001");
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	assert_int_equal(atomic_file_open(&f, fd, 0600, NULL), 0);
	fd_close(open(stale, O_CREAT | O_WRONLY, 0600));
	atomic_file_sweep(fd);
	assert_false(path_exists(stale));
	assert_int_equal(faccessat(fd, f.temporary, F_OK, 0), 0);
	assert_int_equal(atomic_file_commit(&f, "done", NULL), 0);
	assert_int_equal(faccessat(fd, "done", F_OK, 0), 0);
}

/* The linker has the library's calls of flock() lead here. */
int real_flock(int fd, int operation) __asm__("__real_flock");
int wrap_flock(int fd, int operation) __asm__("__wrap_flock");
static int sweeping, swept = -1;
static char swept_path[PATH_MAX];

int wrap_flock(int fd, int operation)
{
	if (sweeping) {
		AUTOFREE char *link = xasprintf("/proc/self/fd/%d", fd);
		sweeping = 0;
		assert_true(readlink(link, swept_path, sizeof swept_path - 1) > 0);
		swept = open(swept_path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(real_flock(swept, LOCK_EX | LOCK_NB), 0);
	}
	return real_flock(fd, operation);
}

/* The sweep of another process has locked the new file before its writer, and deletes it later. */
static void a_writer_takes_another_name_than_the_swept_one(void **state)
{
	AUTO_FD int fd = open(directory, O_RDONLY | O_DIRECTORY);
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	sweeping = 1;
	assert_int_equal(atomic_file_open(&f, fd, 0600, NULL), 0);
	assert_true(swept >= 0);
	assert_int_equal(unlink(swept_path), 0);
	fd_close(TAKE_FD(swept));
	assert_int_equal(atomic_file_commit(&f, "kept", NULL), 0);
	assert_int_equal(faccessat(fd, "kept", F_OK, 0), 0);
}

static void locks_exclude_and_can_be_asked(void **state)
{
	AUTOFREE char *path = path_join(directory, "lock");
	assert_int_equal(lock_is_held(path), 0);
	int fd = lock_file(path, LOCK_EXCLUSIVE, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(lock_is_held(path), 1);
	assert_int_equal(lock_file(path, LOCK_EXCLUSIVE, 0, NULL), -EWOULDBLOCK);
	assert_int_equal(lock_file(path, LOCK_EXCLUSIVE, clock_deadline(20), NULL), -EWOULDBLOCK);
	close(fd);
	assert_int_equal(lock_is_held(path), 0);
}

static void trees_are_removed_without_following_links(void **state)
{
	AUTOFREE char *outside = path_join(directory, "outside"), *deep = path_join(directory, "tree/a/b"),
		      *link_path = path_join(directory, "tree/a/l");
	AUTOFREE char *locked = path_join(directory, "tree/a");
	assert_int_equal(path_mkdir_all(outside, 0700, NULL), 0);
	assert_int_equal(path_mkdir_all(deep, 0700, NULL), 0);
	assert_int_equal(symlink(outside, link_path), 0);
	assert_int_equal(chmod(locked, 0), 0);
	AUTO_FD int fd = open(directory, O_RDONLY | O_DIRECTORY);
	assert_int_equal(path_remove_tree(fd, "tree"), 0);
	assert_true(path_exists(outside));
	free(TAKE_PTR(deep));
	free(TAKE_PTR(link_path));
}

/* As deep as nothing can be opened at once, with a name that the removal itself might choose. */
static void a_very_deep_tree_is_removed(void **state)
{
	AUTO_FD int top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		    at = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(top, "abyss", 0700), 0);
	AUTO_FD int abyss = openat(top, "abyss", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(abyss, ".deep-0", 0), 0);
	for (int i = 0; i < 5000; i++) {
		const char *name = i ? "d" : "abyss";
		assert_true(i == 0 || mkdirat(at, name, 0700) == 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		fd_close(at);
		at = next;
	}
	assert_int_equal(path_remove_tree(top, "abyss"), 0);
	assert_int_equal(faccessat(top, "abyss", F_OK, 0), -1);
}

static void links_cannot_leave_a_root(void **state)
{
	AUTOFREE char *root = path_join(directory, "root"), *secret = path_join(directory, "secret"),
		      *link_path = path_join(directory, "root/l");
	assert_int_equal(path_mkdir_all(root, 0700, NULL), 0);
	write_text(secret, "x");
	assert_int_equal(symlink("../secret", link_path), 0);
	AUTO_FD int fd = open(root, O_PATH | O_DIRECTORY);
	assert_int_equal(path_open_in_root(fd, "l", O_RDONLY, 0), -ENOENT);
	assert_int_equal(path_open_in_root(fd, "../../secret", O_RDONLY, 0), -ENOENT);
	assert_int_equal(path_open_beneath(fd, "../secret", O_RDONLY, 0), -EXDEV);
	assert_int_equal(path_open_beneath(fd, "l", O_RDONLY, 0), -ELOOP);
	free(TAKE_PTR(secret));
	free(TAKE_PTR(link_path));
}

static void programs_that_cannot_start_say_so(void **state)
{
	char *const missing[] = { "/nonexistent/program", NULL }, *const unknown[] = { "no-such-program-here", NULL };
	pid_t pid;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(spawn(&(struct spawn_options){ .argv = missing }, &pid, &err), -ENOENT);
	assert_non_null(strstr(err->text, "/nonexistent/program"));
	assert_int_equal(spawn(&(struct spawn_options){ .argv = unknown }, &pid, NULL), -ENOENT);
}

static void children_get_only_what_is_named(void **state)
{
	int pair[2], status;
	pid_t pid;
	char line[64] = { 0 };
	AUTO_FD UNUSED int stray = open("/dev/null", O_RDONLY); /* deliberately not close-on-exec */
	assert_int_equal(fd_pipe(pair), 0);
	char *const argv[] = { "sh", "-c",
		"exec 2>/dev/null; for i in 0 1 2 3 4 5 6 7 8 9 20; do [ -e /proc/self/fd/$i ] && printf '%s ' $i; "
		"done >&7",
		NULL };
	struct spawn_fd fds[] = { { pair[1], 7 }, { pair[1], 20 } };
	assert_int_equal(spawn(&(struct spawn_options){ .argv = argv, .fds = fds, .fd_count = 2 }, &pid, NULL), 0);
	close(pair[1]);
	assert_true(fd_read_full(pair[0], line, sizeof line - 1) > 0);
	assert_string_equal(line, "0 1 2 7 20 ");
	assert_int_equal(spawn_wait(pid, &status), 0);
	close(pair[0]);
}

static void captures_have_limits(void **state)
{
	char *const ok[] = { "sh", "-c", "echo out; echo problem >&2; exit 3", NULL }, *const hang[] = { "sleep", "60",
		NULL };
	char *const flood[] = { "sh", "-c", "head -c 100000 /dev/zero", NULL };
	AUTOFREE char *text = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(spawn_capture(ok, 100, clock_deadline(10000), &text, &err), 3);
	assert_string_equal(text, "out\n");
	assert_non_null(strstr(err->text, "problem"));
	assert_int_equal(spawn_capture(hang, 100, clock_deadline(30), NULL, NULL), -ETIMEDOUT);
	assert_int_equal(spawn_capture(flood, 100, clock_deadline(10000), NULL, NULL), -EFBIG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(files_are_replaced_whole), TEST(the_sweep_leaves_living_writers_alone),
		TEST(a_writer_takes_another_name_than_the_swept_one), TEST(locks_exclude_and_can_be_asked),
		TEST(trees_are_removed_without_following_links), TEST(a_very_deep_tree_is_removed),
		TEST(links_cannot_leave_a_root), TEST(programs_that_cannot_start_say_so),
		TEST(children_get_only_what_is_named), TEST(captures_have_limits) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
