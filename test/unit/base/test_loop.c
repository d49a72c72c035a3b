/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/accept.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/spawn.h"

static struct loop *loop;
static char order[64];

static void note(char c)
{
	size_t n = strlen(order);
	order[n] = c;
	order[n + 1] = '\0';
}

static int setup(void **state)
{
	order[0] = '\0';
	return loop_new(&loop);
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

static void on_timer(struct source *s, void *data)
{
	note(*(const char *)data);
	source_free(s);
}

static void on_last(struct source *s, void *data)
{
	note('!');
	loop_exit(loop, 7);
}

static void timers_run_in_their_time(void **state)
{
	loop_add_timer(loop, clock_now_ms() + 5, on_timer, "b", NULL);
	loop_add_timer(loop, clock_now_ms() - 5, on_timer, "a", NULL);
	loop_add_timer(loop, clock_now_ms() + 20, on_last, NULL, NULL);
	assert_int_equal(loop_run(loop), 7);
	assert_string_equal(order, "ab!");
}

static struct source *victim;

static void free_victim(struct source *s, int fd, uint32_t events, void *data)
{
	note('f');
	source_free(victim);
	source_set_events(s, 0);
}

static void must_not_run(struct source *s, int fd, uint32_t events, void *data)
{
	/* Both are ready in one turn: whichever comes first frees the other. */
	note('v');
	source_set_events(s, 0);
	victim = NULL;
}

static void a_freed_source_gets_no_more_events(void **state)
{
	int a[2], b[2];
	assert_int_equal(fd_socketpair(SOCK_STREAM, a), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, b), 0);
	loop_add_io(loop, a[0], EPOLLIN, free_victim, NULL, NULL);
	loop_add_io(loop, b[0], EPOLLIN, must_not_run, NULL, &victim);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	while (loop_step(loop, clock_now_ms()) > 0)
		;
	assert_true(streq(order, "f") || streq(order, "vf"));
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void on_readable(struct source *s, int fd, uint32_t events, void *data)
{
	note('r');
	source_pause(s, clock_deadline(20));
	source_set_events(s, EPOLLIN); /* takes effect after the pause */
	if (strlen(order) == 3)
		loop_exit(loop, 0);
}

static void a_paused_source_gets_events_later(void **state)
{
	int ends[2];
	uint64_t begin = clock_now_ms();
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	loop_add_io(loop, ends[0], EPOLLIN, on_readable, NULL, NULL);
	loop_run(loop);
	assert_string_equal(order, "rrr");
	assert_true(clock_now_ms() - begin >= 40);
	close(ends[0]);
	close(ends[1]);
}

static void on_listener(struct source *s, int fd, uint32_t events, void *data)
{
	int connection = accept_connection(s, fd);
	note(connection < 0 ? '-' : '+');
	fd_close(connection);
}

/* accept(2) fails with EMFILE: the loop does not turn in circles, and serves the client later. */
static void a_listener_waits_for_descriptors(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof address;
	struct rlimit before, none;
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address.sun_family), 0); /* any name */
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(listening, 8), 0);
	loop_add_io(loop, listening, EPOLLIN, on_listener, NULL, NULL);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
	for (uint64_t until = clock_deadline(100); clock_now_ms() < until;)
		loop_step(loop, until);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_in_range(strlen(order), 1, 3);
	for (uint64_t until = clock_deadline(60000); !strchr(order, '+') && clock_now_ms() < until;)
		loop_step(loop, until);
	assert_non_null(strchr(order, '+'));
	close(client);
	close(listening);
}

static void add_another(struct source *s, void *data)
{
	note('d');
	if (strlen(order) < 3)
		loop_add_deferred(loop, add_another, NULL, NULL);
}

static void deferred_ones_run_once_a_turn(void **state)
{
	loop_add_deferred(loop, add_another, NULL, NULL);
	loop_step(loop, UINT64_MAX);
	assert_string_equal(order, "d");
	loop_step(loop, UINT64_MAX);
	assert_string_equal(order, "dd");
}

static void on_child(struct source *s, pid_t pid, int status, void *data)
{
	*(int *)data = spawn_exit_status(status);
	source_free(s);
	loop_exit(loop, 0);
}

static void children_are_reaped(void **state)
{
	char *const argv[] = { "sh", "-c", "exit 42", NULL };
	pid_t pid;
	int status = -1;
	assert_int_equal(spawn(&(struct spawn_options){ .argv = argv }, &pid, NULL), 0);
	assert_int_equal(loop_add_child(loop, pid, on_child, &status, NULL), 0);
	loop_run(loop);
	assert_int_equal(status, 42);
	assert_int_equal(kill(pid, 0), -1);
}

static void on_signal(struct source *s, int number, void *data)
{
	loop_exit(loop, number);
}

static void signals_arrive(void **state)
{
	loop_add_signal(loop, SIGUSR1, on_signal, NULL, NULL);
	raise(SIGUSR1);
	assert_int_equal(loop_run(loop), SIGUSR1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(timers_run_in_their_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_freed_source_gets_no_more_events, setup, teardown),
		cmocka_unit_test_setup_teardown(a_paused_source_gets_events_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_listener_waits_for_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_ones_run_once_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(children_are_reaped, setup, teardown),
		cmocka_unit_test_setup_teardown(signals_arrive, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
