/* SPDX-License-Identifier: Apache-2.0
 * Both ends of the multiplexed transport in one loop, over a socketpair. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/transport.h"

enum { MANY = 2048, ACCEPTED_MAX = MANY + 1 };

struct fixture {
	struct loop *loop;
	struct transport *client, *server;
	int accepted[ACCEPTED_MAX];
	int accepted_count;
	int closed;
};

static void on_accept(int fd, void *data)
{
	struct fixture *f = data;
	assert_true(f->accepted_count < ACCEPTED_MAX);
	f->accepted[f->accepted_count++] = fd;
}

static void on_closed(int code, const char *why, void *data)
{
	assert_true(code < 0 && why);
	((struct fixture *)data)->closed++;
}

static int setup_role(void **state, enum mux_role role)
{
	struct fixture *f = xnew(struct fixture);
	int pair[2];
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(transport_mux_new(f->loop, pair[0], MUX_CLIENT, NULL, on_closed, f, &f->client), 0);
	assert_int_equal(transport_mux_new(f->loop, pair[1], role, on_accept, on_closed, f, &f->server), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_role(state, MUX_SERVER);
}

static int setup_inside(void **state)
{
	return setup_role(state, MUX_SERVER_INSIDE);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	transport_free(f->client);
	transport_free(f->server);
	loop_free(f->loop);
	for (int i = 0; i < f->accepted_count; i++)
		fd_close(f->accepted[i]);
	free(f);
	return 0;
}

static void settle(struct fixture *f)
{
	while (loop_step(f->loop, clock_deadline(20)) > 0)
		;
}

/* Opens a stream: our end, and (index) the accepted one. */
static int open_stream(struct fixture *f)
{
	int fd = -1;
	assert_int_equal(transport_open(f->client, &fd, NULL), 0);
	return fd;
}

static void expect(int fd, const char *text)
{
	char data[64];
	ssize_t n = recv(fd, data, sizeof data - 1, MSG_DONTWAIT);
	assert_true(n >= 0);
	data[n] = 0;
	assert_string_equal(data, text);
}

static void test_both_ways_and_half_close(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = open_stream(f);
	assert_int_equal(fd_write_full(fd, "hello", 5), 0);
	shutdown(fd, SHUT_WR);
	settle(f);
	assert_int_equal(f->accepted_count, 1);
	expect(f->accepted[0], "hello");
	expect(f->accepted[0], "");
	assert_int_equal(fd_write_full(f->accepted[0], "answer", 6), 0);
	settle(f);
	expect(fd, "answer");
	assert_int_equal(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	shutdown(f->accepted[0], SHUT_WR);
	settle(f);
	expect(fd, "");
	assert_false(f->closed);
}

static void test_the_accepting_side_ends_first(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = open_stream(f);
	settle(f);
	assert_int_equal(fd_write_full(f->accepted[0], "bye", 3), 0);
	shutdown(f->accepted[0], SHUT_WR);
	settle(f);
	expect(fd, "bye");
	expect(fd, "");
	assert_int_equal(fd_write_full(fd, "still", 5), 0);
	settle(f);
	expect(f->accepted[0], "still");
}

static void test_close_is_seen_by_a_writer(void **state)
{
	struct fixture *f = *state;
	int fd = open_stream(f);
	assert_int_equal(fd_write_full(fd, "last", 4), 0);
	settle(f);
	fd_close(fd);
	settle(f);
	expect(f->accepted[0], "last");
	expect(f->accepted[0], "");
	settle(f);
	assert_int_equal(send(f->accepted[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* A published UDP port has a stream for each of its clients. */
static void test_streams_into_the_machine(void **state)
{
	struct fixture *f = *state;
	struct rlimit files = { 0 };
	int fds[MANY], more;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max < 5 * MANY || setrlimit(RLIMIT_NOFILE, &files) < 0)
		skip();
	settle(f); /* the server has said how many it takes */
	for (int i = 0; i < MANY; i++)
		fds[i] = open_stream(f);
	assert_int_equal(transport_open(f->client, &more, NULL), -EBUSY);
	settle(f);
	assert_int_equal(f->accepted_count, MANY);
	for (int i = 0; i < MANY; i++)
		fd_close(fds[i]);
	settle(f);
}

static void test_streams_by_the_hundred(void **state)
{
	struct fixture *f = *state;
	int fds[256];
	char text[16];
	settle(f); /* the server has said how many it takes */
	for (int i = 0; i < 256; i++) {
		fds[i] = open_stream(f);
		snprintf(text, sizeof text, "stream %d", i);
		assert_int_equal(fd_write_full(fds[i], text, strlen(text)), 0);
	}
	int more;
	assert_int_equal(transport_open(f->client, &more, NULL), -EBUSY);
	settle(f);
	assert_int_equal(f->accepted_count, 256);
	for (int i = 0; i < 256; i++) {
		snprintf(text, sizeof text, "stream %d", i);
		expect(f->accepted[i], text);
		fd_close(f->accepted[i]);
	}
	f->accepted_count = 0;
	settle(f);
	for (int i = 0; i < 256; i++) {
		expect(fds[i], "");
		fd_close(fds[i]);
	}
	settle(f);
	AUTO_FD int fd = open_stream(f);
	settle(f);
	assert_true(fd >= 0);
	assert_int_equal(f->accepted_count, 1);
}

static size_t fill(struct fixture *f, int fd)
{
	static char data[65536];
	size_t sent = 0;
	for (int idle = 0; idle < 5;) {
		ssize_t n = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_step(f->loop, clock_deadline(10));
	}
	return sent;
}

static void test_a_stalled_stream_blocks_no_other(void **state)
{
	struct fixture *f = *state;
	enum { STALLED = 100 };
	int fds[STALLED];
	for (int i = 0; i < STALLED; i++) {
		fds[i] = open_stream(f);
		size_t sent = fill(f, fds[i]);
		assert_in_range(sent, 256 * 1024, 1200 * 1024);
	}
	AUTO_FD int fd = open_stream(f);
	assert_int_equal(fd_write_full(fd, "through", 7), 0);
	settle(f);
	expect(f->accepted[STALLED], "through");
	for (int i = 0; i < STALLED; i++)
		fd_close(fds[i]);
	settle(f);
}

static void test_a_stalled_stream_goes_on(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = open_stream(f);
	size_t sent = fill(f, fd), got = 0;
	static char data[65536];
	shutdown(fd, SHUT_WR);
	for (ssize_t n; (n = recv(f->accepted[0], data, sizeof data, MSG_DONTWAIT)) != 0;
	     loop_step(f->loop, clock_deadline(10)))
		got += n > 0 ? (size_t)n : 0;
	assert_int_equal(got, sent);
}

static uint32_t next_random(uint32_t *seed)
{
	return *seed = *seed * 1664525u + 1013904223u;
}

static void test_hundred_megabytes(void **state)
{
	struct fixture *f = *state;
	enum { TOTAL = 100 * 1000 * 1000, PIECE = 65536 };
	AUTO_FD int fd = open_stream(f);
	static uint32_t out[PIECE / 4], in[PIECE / 4];
	uint32_t seed = 1, check_seed = 1;
	size_t sent = 0, got = 0, out_at = PIECE, in_at = 0;
	uint64_t begun = clock_now_ms();
	while (got < TOTAL) {
		if (out_at == PIECE) {
			for (size_t i = 0; i < PIECE / 4; i++)
				out[i] = next_random(&seed);
			out_at = 0;
		}
		size_t left = MIN((size_t)PIECE - out_at, TOTAL - sent);
		ssize_t n = left ? send(fd, (char *)out + out_at, left, MSG_DONTWAIT) : 0;
		sent += n > 0 ? (size_t)n : 0;
		out_at += n > 0 ? (size_t)n : 0;
		loop_step(f->loop, 0);
		if (!f->accepted_count)
			continue;
		while ((n = recv(f->accepted[0], (char *)in + in_at, PIECE - in_at, MSG_DONTWAIT)) > 0) {
			got += (size_t)n;
			in_at += (size_t)n;
			if (in_at < PIECE)
				continue;
			for (size_t i = 0; i < PIECE / 4; i++)
				if (in[i] != next_random(&check_seed))
					fail_msg("wrong bytes before %zu", got);
			in_at = 0;
		}
	}
	print_message("%.0f MB/s\n", TOTAL / 1000.0 / (double)MAX(clock_now_ms() - begun, (uint64_t)1));
}

static void test_the_other_side_goes_away(void **state)
{
	struct fixture *f = *state;
	AUTO_FD int fd = open_stream(f);
	settle(f);
	transport_free(TAKE_PTR(f->server));
	settle(f);
	expect(fd, "");
	assert_int_equal(f->closed, 1);
	int more;
	assert_int_equal(transport_open(f->client, &more, NULL), -ECONNRESET);
}

static void feed(const void *bytes, size_t size, enum mux_role role, int expect_closed)
{
	struct fixture f = { 0 };
	int pair[2];
	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(transport_mux_new(f.loop, pair[0], role, on_accept, on_closed, &f, &f.server), 0);
	assert_int_equal(fd_write_full(pair[1], bytes, size), 0);
	settle(&f);
	assert_int_equal(f.closed, expect_closed);
	transport_free(f.server);
	loop_free(f.loop);
	fd_close(pair[1]);
	for (int i = 0; i < f.accepted_count; i++)
		fd_close(f.accepted[i]);
}

static void test_garbage_ends_it(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	feed("garbage garbage garbage garbage", 31, MUX_SERVER, 1);
	feed("garbage garbage garbage garbage", 31, MUX_CLIENT, 1);
	feed(preface, sizeof preface - 1, MUX_SERVER, 0);
	char data[128];
	memcpy(data, preface, sizeof preface - 1);
	/* an empty SETTINGS, then a CONTINUATION from nowhere */
	memcpy(data + sizeof preface - 1, "\0\0\0\4\0\0\0\0\0\0\0\0\11\0\0\0\0\1", 18);
	feed(data, sizeof preface - 1 + 18, MUX_SERVER, 1);
}

static void test_pings_without_reading_are_bounded(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	static const char ping[] = "\0\0\10\6\0\0\0\0\0abcdefgh";
	struct fixture f = { 0 };
	int pair[2];
	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(transport_mux_new(f.loop, pair[0], MUX_SERVER, on_accept, on_closed, &f, &f.server), 0);
	assert_int_equal(fd_write_full(pair[1], preface, sizeof preface - 1), 0);
	for (int i = 0; i < 2000000 && !f.closed; i++) {
		if (send(pair[1], ping, sizeof ping - 1, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
			loop_step(f.loop, clock_deadline(10));
	}
	assert_int_equal(f.closed, 1);
	transport_free(f.server);
	loop_free(f.loop);
	fd_close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_both_ways_and_half_close, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_accepting_side_ends_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_is_seen_by_a_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_by_the_hundred, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_into_the_machine, setup_inside, teardown),
		cmocka_unit_test_setup_teardown(test_a_stalled_stream_blocks_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_stalled_stream_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hundred_megabytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_other_side_goes_away, setup, teardown),
		cmocka_unit_test(test_garbage_ends_it), cmocka_unit_test(test_pings_without_reading_are_bounded) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
