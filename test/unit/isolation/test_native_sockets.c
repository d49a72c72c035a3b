/* SPDX-License-Identifier: Apache-2.0
 * Sockets in the network of another process: of a child of the test, in namespaces of its own. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/native/run.h"
#include "isolation/native/sockets.h"

enum { WAIT_MS = 60 * 1000 };

struct fixture {
	struct isolation_run run;
	pid_t init;
	int told;
};

static void on_sockets(void *data)
{
	((struct fixture *)data)->told++;
}

/* A process in new namespaces, until it is killed; 0: the host allows none. */
static pid_t start_init(void)
{
	char byte = 0;
	int ready[2];
	assert_int_equal(fd_pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		byte = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	if (byte)
		return pid;
	int status;
	kill(pid, SIGKILL);
	spawn_wait(pid, &status);
	return 0;
}

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);
	f->init = start_init();
	f->run = (struct isolation_run){ .events = { .sockets = on_sockets }, .data = f };
	f->run.words = dup(STDERR_FILENO);
	assert_int_equal(loop_new(&f->run.loop), 0);
	AUTOFREE char *path = xasprintf("/proc/%d/ns/user", (int)f->init);
	f->run.user_namespace = f->init ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int status;
	native_sockets_done(&f->run);
	native_children_reap(&f->run);
	loop_free(f->run.loop);
	fd_close(f->run.user_namespace);
	fd_close(f->run.words);
	if (f->init) {
		kill(f->init, SIGKILL);
		spawn_wait(f->init, &status);
	}
	free(f);
	return 0;
}

static void follow(struct fixture *f)
{
	AUTO_FD int init = (int)syscall(SYS_pidfd_open, f->init, 0);
	assert_true(init >= 0);
	native_sockets_follow(&f->run, init);
}

static void wait_told(struct fixture *f)
{
	f->told = 0;
	for (uint64_t end = clock_deadline(WAIT_MS); !f->told && clock_now_ms() < end;)
		loop_step(f->run.loop, end);
	assert_true(f->told > 0);
}

static void expect_line(const struct fixture *f, const char *line)
{
	const struct native_child *c = native_child_find((struct isolation_run *)&f->run, CHILD_SOCKETS);
	assert_non_null(c);
	AUTOFREE char *path = xasprintf("/proc/%d/status", (int)c->pid), *text = NULL;
	assert_int_equal(path_read_file(path, 64 * 1024, &text, NULL), 0);
	if (!strstr(text, line))
		fail_msg("no %s in %s", line, text);
}

/* The new network has no address that is up, unlike this one. */
static void expect_foreign(int fd)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), -1);
	assert_int_equal(errno, ENETUNREACH);
}

static void test_socket(void **state)
{
	struct fixture *f = *state;
	if (!f->init)
		skip();
	assert_int_equal(native_open_socket(&f->run, ISOLATION_TCP4), -ENOTCONN);
	follow(f);
	assert_int_equal(native_open_socket(&f->run, ISOLATION_TCP4), -EAGAIN);
	wait_told(f);
	AUTO_FD int fd = native_open_socket(&f->run, ISOLATION_TCP4);
	assert_true(fd >= 0);
	expect_foreign(fd);
	expect_line(f, "NoNewPrivs:\t1\n");
	expect_line(f, "CapPrm:\t0000000000000000\n");
	expect_line(f, "CapEff:\t0000000000000000\n");
}

/* The event comes also when the init has ended, and when the child does not answer. */
static void test_no_answer(void **state)
{
	struct fixture *f = *state;
	if (!f->init)
		skip();
	follow(f);
	assert_int_equal(native_open_socket(&f->run, ISOLATION_TCP6), -EAGAIN);
	f->told = 0;
	native_sockets_follow(&f->run, -1);
	assert_int_equal(f->told, 1);
	assert_int_equal(native_open_socket(&f->run, ISOLATION_TCP6), -ENOTCONN);
	follow(f);
	assert_int_equal(native_open_socket(&f->run, ISOLATION_TCP6), -EAGAIN);
	kill(native_child_find(&f->run, CHILD_SOCKETS)->pid, SIGSTOP);
	wait_told(f);
	int fd = native_open_socket(&f->run, ISOLATION_TCP6);
	if (fd == -EIO) /* it has not answered before it was stopped */
		fd = native_open_socket(&f->run, ISOLATION_TCP6);
	assert_true(fd >= 0 || fd == -EAGAIN);
	fd_close(fd < 0 ? -1 : fd);
	native_children_kill(&f->run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_answer, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
