/* SPDX-License-Identifier: Apache-2.0
 * How a command is looked for, and what is said of one that cannot run. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "agent/core/execute.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"

enum { RAN = 7 };

/* The child's end: RAN, or the error's number and 100. */
static int try(const char *program, const char *path)
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *const argv[] = { (char *)program, NULL };
		AUTO_STRV struct strv env = { 0 };
		strv_setenv(&env, "PATH", path);
		_exit(100 - execute_program(program, argv, &env));
	}
	assert_int_equal(spawn_wait(pid, &status), 0);
	return status;
}

static void write_program(const char *directory, const char *name, mode_t mode)
{
	static const char text[] = "#!/bin/sh\nexit 7\n";
	AUTOFREE char *path = path_join(directory, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, sizeof text - 1), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void test_path(void **state)
{
	char *folder = folder_new();
	AUTOFREE char *first = path_join(folder, "first"), *second = path_join(folder, "second"),
		      *path = xasprintf("%s/none:%s:%s", folder, first, second), *sub = path_join(first, "both"),
		      *direct = path_join(second, "both");
	assert_int_equal(mkdir(first, 0755), 0);
	assert_int_equal(mkdir(second, 0755), 0);
	/* A directory and a file that must not be executed do not end the search. */
	assert_int_equal(mkdir(sub, 0755), 0);
	write_program(second, "both", 0755);
	write_program(first, "refused", 0644);
	write_program(second, "refused", 0755);
	write_program(first, "never", 0644);
	assert_int_equal(try("both", path), RAN);
	assert_int_equal(try("refused", path), RAN);
	assert_int_equal(try("never", path), 100 + EACCES);
	assert_int_equal(try("nothing", path), 100 + ENOENT);
	assert_int_equal(try(direct, ""), RAN);
	assert_int_equal(try(sub, path), 100 + EACCES);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_path) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
