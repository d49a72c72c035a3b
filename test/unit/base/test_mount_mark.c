/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/fd.h"
#include "base/mount_mark.h"

#define ONE "11111111111111111111111111111111"
#define TWO "22222222222222222222222222222222"

static char *folder;
static int base;

static int setup(void **state)
{
	folder = folder_new();
	base = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return base < 0;
}

static int teardown(void **state)
{
	fd_close(base);
	folder_remove(folder);
	return 0;
}

/* As the agent makes it for a mount of this machine. */
static void make(const char *path, const char *id)
{
	int made = mkdirat(base, path, 0755) == 0;
	AUTO_FD int fd = openat(base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (made && fsetxattr(fd, "user.holm-test", "", 0, 0) < 0)
		skip(); /* this file system has no such attributes */
	mount_mark_add(fd, id, made);
}

static int is_there(const char *path)
{
	return faccessat(base, path, F_OK, 0) == 0;
}

static void test_one(void **state)
{
	make("in", ONE);
	make("in/a", ONE);
	make("in/b", ONE);
	mount_mark_remove(base, "in/a", ONE);
	assert_false(is_there("in/a"));
	mount_mark_remove(base, "in/b", TWO);
	assert_true(is_there("in/b"));
	mount_mark_remove(base, "in/b", ONE);
	assert_false(is_there("in"));
}

static void test_two(void **state)
{
	make("in", ONE);
	make("in/a", ONE);
	make("in", TWO);
	make("in/a", TWO);
	mount_mark_remove(base, "in/a", TWO);
	assert_true(is_there("in/a"));
	mount_mark_remove(base, "in/a", ONE);
	assert_false(is_there("in"));
}

/* A directory of somebody's own stays, and one that is not empty. */
static void test_kept(void **state)
{
	assert_int_equal(mkdirat(base, "own", 0755), 0);
	make("own", ONE);
	make("own/a", ONE);
	mount_mark_remove(base, "own/a", ONE);
	assert_false(is_there("own/a"));
	assert_true(is_there("own"));
	make("full", ONE);
	assert_int_equal(mkdirat(base, "full/x", 0755), 0);
	mount_mark_remove(base, "full", ONE);
	assert_true(is_there("full"));
	assert_int_equal(symlinkat("full", base, "link"), 0);
	mount_mark_remove(base, "link", ONE);
	mount_mark_remove(base, "none/at/all", ONE);
	assert_true(is_there("link"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
