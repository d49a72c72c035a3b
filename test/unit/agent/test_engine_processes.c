/* SPDX-License-Identifier: Apache-2.0
 * Processes by their mount namespace, whose number the kernel gives to the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engine/processes.h"
#include "namespaces.h"

enum { NEXT = 64 };

/* A process in a mount namespace of its own, which answers each byte. */
struct other {
	pid_t pid;
	int fd;
};

static _Noreturn void answer(int fd)
{
	char byte = 0;
	enter_namespaces();
	do {
		if (write(fd, &byte, 1) != 1)
			break;
	} while (read(fd, &byte, 1) == 1);
	_exit(0);
}

static int answers(const struct other *o)
{
	char byte = 0;
	return read(o->fd, &byte, 1) == 1;
}

static struct other begin(void)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	struct other o = { fork(), ends[0] };
	if (o.pid == 0) {
		close(ends[0]);
		answer(ends[1]);
	}
	close(ends[1]);
	if (!answers(&o))
		skip(); /* this host gives no namespaces */
	return o;
}

/* Returns the signal that has ended it, or 0. */
static int end(const struct other *o)
{
	int status = 0;
	close(o->fd);
	assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_namespace_that_is_held_is_no_other_one(void **state)
{
	const struct other gone = begin();
	AUTO_FD int mounts = process_mounts(gone.pid);
	assert_true(mounts >= 0);
	assert_int_equal(end(&gone), 0);
	/* One of them has the number as soon as the kernel gives it again. */
	for (int i = 0; i < NEXT; i++) {
		const struct other next = begin();
		processes_kill(mounts);
		assert_int_equal(write(next.fd, "", 1), 1);
		assert_true(answers(&next));
		assert_int_equal(end(&next), 0);
	}
}

static void the_processes_of_a_namespace_end(void **state)
{
	const struct other one = begin(), two = begin();
	AUTO_FD int mounts = process_mounts(one.pid);
	processes_kill(-1);
	processes_kill(mounts);
	assert_int_equal(end(&one), SIGKILL);
	assert_int_equal(write(two.fd, "", 1), 1);
	assert_true(answers(&two));
	assert_int_equal(end(&two), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_namespace_that_is_held_is_no_other_one),
		cmocka_unit_test(the_processes_of_a_namespace_end),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
