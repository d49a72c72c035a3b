/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/http.h"

struct fixture {
	struct loop *loop;
	struct relay *relay;
	int a, b; /* our ends */
	int ended;
};

static void on_ended(struct relay *relay, void *data)
{
	((struct fixture *)data)->ended = 1;
	relay_free(relay);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	int a[2], b[2];
	struct buffer first;
	buffer_init(&first, 100);
	buffer_append_string(&first, "first ");
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, a), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, b), 0);
	assert_int_equal(relay_new(f->loop, a[1], b[1], &first, on_ended, f, &f->relay), 0);
	buffer_done(&first);
	f->a = a[0];
	f->b = b[0];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (!f->ended)
		relay_free(f->relay);
	loop_free(f->loop);
	fd_close(f->a);
	fd_close(f->b);
	free(f);
	return 0;
}

static void settle(struct fixture *f)
{
	while (loop_step(f->loop, clock_deadline(30)) > 0)
		;
}

static void expect(int fd, const char *text)
{
	char data[64];
	ssize_t n = recv(fd, data, sizeof data - 1, MSG_DONTWAIT);
	assert_true(n >= 0);
	data[n] = 0;
	assert_string_equal(data, text);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(fd_write_full(f->a, "to b", 4), 0);
	shutdown(f->a, SHUT_WR);
	settle(f);
	expect(f->b, "first to b");
	expect(f->b, "");
	assert_false(f->ended);
	assert_int_equal(fd_write_full(f->b, "back", 4), 0);
	fd_close(TAKE_FD(f->b));
	settle(f);
	expect(f->a, "back");
	expect(f->a, "");
	assert_true(f->ended);
}

#define HEAD "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n"

static void test_what_follows_a_head_waits_for_its_reader(void **state)
{
	struct fixture *f = *state;
	char data[256];
	relay_hold(f->relay);
	assert_int_equal(fd_write_full(f->b, HEAD "out", strlen(HEAD) + 3), 0);
	settle(f);
	assert_int_equal(fd_write_full(f->b, "put", 3), 0);
	settle(f);
	assert_int_equal(loop_step(f->loop, clock_deadline(30)), 0); /* nor does it spin */
	assert_int_equal(recv(f->a, data, 10, 0), 10);
	settle(f);
	assert_int_equal(recv(f->a, data, sizeof data, 0), strlen(HEAD) - 10);
	settle(f);
	expect(f->a, "output");
	assert_int_equal(fd_write_full(f->b, HEAD, strlen(HEAD)), 0);
	settle(f);
	expect(f->a, HEAD);
}

static void test_the_end_behind_a_head_waits_for_its_reader(void **state)
{
	struct fixture *f = *state;
	relay_hold(f->relay);
	assert_int_equal(fd_write_full(f->b, HEAD "output", strlen(HEAD) + 6), 0);
	fd_close(TAKE_FD(f->b));
	settle(f);
	expect(f->a, HEAD);
	settle(f);
	expect(f->a, "output");
	expect(f->a, "");
}

static void test_a_side_that_hangs_up_ends_it(void **state)
{
	struct fixture *f = *state;
	settle(f);
	expect(f->b, "first ");
	assert_int_equal(fd_write_full(f->a, "last", 4), 0);
	fd_close(TAKE_FD(f->a));
	settle(f);
	expect(f->b, "last");
	expect(f->b, "");
	assert_true(f->ended);
}

static void test_hang_up_behind_a_full_buffer(void **state)
{
	struct fixture *f = *state;
	char *data = xcalloc(1, 1 << 20);
	size_t sent = 0, got = 0;
	fd_set_nonblocking(f->a, 1);
	for (ssize_t n; (n = write(f->a, data, 1 << 16)) > 0 || sent<500000; sent += n> 0 ? (size_t)n : 0)
		loop_step(f->loop, 0);
	fd_close(TAKE_FD(f->a));
	for (int i = 0; i < 20; i++) /* nothing is read: must neither end nor lose anything */
		loop_step(f->loop, 0);
	assert_false(f->ended);
	assert_int_equal(loop_step(f->loop, clock_deadline(30)), 0); /* nor spin */
	for (ssize_t n; (n = recv(f->b, data, 1 << 20, MSG_DONTWAIT)) != 0; settle(f))
		got += n > 0 ? (size_t)n : 0;
	assert_int_equal(got, sent + 6);
	settle(f);
	assert_true(f->ended);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_follows_a_head_waits_for_its_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_behind_a_head_waits_for_its_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_side_that_hangs_up_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up_behind_a_full_buffer, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
