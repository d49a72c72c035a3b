/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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
		cmocka_unit_test_setup_teardown(deferred_ones_run_once_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(children_are_reaped, setup, teardown),
		cmocka_unit_test_setup_teardown(signals_arrive, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
