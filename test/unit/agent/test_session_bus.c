/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mount.h>
#include <sys/wait.h>

#include "agent/session/bus.h"
#include "base/clock.h"
#include "namespaces.h"

enum { UID = 1234, DEADLINE_MS = 30 * 1000, STEP_US = 100 * 1000 };

/* An empty /run of this process's own. */
static void enter(void)
{
	enter_namespaces();
	if (mount("none", "/run", "tmpfs", 0, NULL) < 0)
		_exit(CANNOT);
}

static void touch(const char *path)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		_exit(CANNOT);
}

/* Takes systemd's steps, with a pause before each, in which the waiting process goes to sleep. */
static void bring_up(int mounted)
{
	AUTOFREE char *directory = xasprintf("/run/user/%d", UID), *bus = path_join(directory, "bus");
	usleep(STEP_US);
	mkdir("/run/user", 0755);
	usleep(STEP_US);
	mkdir(directory, 0700);
	usleep(STEP_US);
	if (mounted && mount("none", directory, "tmpfs", 0, NULL) < 0)
		_exit(CANNOT);
	usleep(STEP_US);
	touch(bus);
}

/* Exit status 0 of a process in which the wait ended by the bus and not by the deadline. */
static int waits(int mounted)
{
	pid_t pid = fork();
	if (pid == 0) {
		enter();
		pid_t other = fork();
		if (other == 0) {
			bring_up(mounted);
			_exit(0);
		}
		uint64_t deadline = clock_deadline(DEADLINE_MS);
		int status = 0;
		session_wait_bus(UID, deadline);
		int left = clock_left_ms(deadline);
		waitpid(other, &status, 0);
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : left == 0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT)
		skip();
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_in_a_directory(void **state)
{
	assert_int_equal(waits(0), 0);
}

/* The file system that covers the directory reports nothing to who watched the directory. */
static void test_in_a_file_system(void **state)
{
	assert_int_equal(waits(1), 0);
}

static void test_never(void **state)
{
	uint64_t deadline = clock_deadline(50);
	session_wait_bus(UID, deadline);
	assert_int_equal(clock_left_ms(deadline), 0);
	session_wait_bus(UID, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_a_directory),
		cmocka_unit_test(test_in_a_file_system),
		cmocka_unit_test(test_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
