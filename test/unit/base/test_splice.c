/* SPDX-License-Identifier: Apache-2.0
 * Two TCP connections on loopback and the splice between them: half-closes, resets,
 * backpressure. */
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/splice.h"

enum { WAIT_MS = 60 * 1000, LITTLE = 64, BIG = 8 * 1024 * 1024 };

struct fixture {
	struct loop *loop;
	int listening;
	struct sockaddr_in address, nobody;
	struct splice *splice;
	int client, server; /* the far ends */
	int accepted;       /* the splice's */
	int refused, connected, ended;
};

static void on_refused(int code, void *data)
{
	((struct fixture *)data)->refused = code;
}

static void on_connected(void *data)
{
	((struct fixture *)data)->connected = 1;
}

static void on_ended(void *data)
{
	struct fixture *f = data;
	f->ended = 1;
	splice_free(TAKE_PTR(f->splice));
}

static int listen_somewhere(struct sockaddr_in *ret)
{
	socklen_t size = sizeof *ret;
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)ret, size), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
	return fd;
}

static int splice_to(struct fixture *f, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return splice_connect(f->splice, fd, (const struct sockaddr *)address, sizeof *address);
}

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_new(&f->loop), 0);
	f->listening = listen_somewhere(&f->address);
	/* A port that nobody listens at: it was just bound. */
	close(listen_somewhere(&f->nobody));
	f->client = f->server = -1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	splice_free(f->splice);
	fd_close(f->client);
	fd_close(f->server);
	fd_close(f->listening);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void run_until(struct fixture *f, const int *what)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (!*what && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	assert_true(*what);
}

/* The client's half; the inside is connected by the test. */
static void begin(struct fixture *f)
{
	static const struct splice_events events = { .refused = on_refused,
		.connected = on_connected,
		.ended = on_ended };
	f->client = connect_to(&f->address);
	f->accepted = accept4(f->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_equal(splice_new(f->loop, f->accepted, &events, f, &f->splice), 0);
	fd_set_nonblocking(f->client, 1);
}

static void connect_inside(struct fixture *f)
{
	assert_int_equal(splice_to(f, &f->address), 0);
	run_until(f, &f->connected);
	f->server = accept4(f->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The first result of recv(2) but EAGAIN. */
static ssize_t receive(struct fixture *f, int fd, char *bytes, size_t size)
{
	ssize_t n;
	uint64_t deadline = clock_deadline(WAIT_MS);
	while ((n = recv(fd, bytes, size, 0)) < 0 && errno == EAGAIN && clock_now_ms() < deadline)
		loop_step(f->loop, clock_deadline(20));
	return n;
}

static void expect(struct fixture *f, int fd, const char *text)
{
	char bytes[LITTLE];
	assert_int_equal(receive(f, fd, bytes, sizeof bytes), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void expect_end(struct fixture *f, int fd)
{
	char byte;
	assert_int_equal(receive(f, fd, &byte, 1), 0);
}

static void expect_reset(struct fixture *f, int fd)
{
	char byte;
	assert_int_equal(receive(f, fd, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The loop comes to rest: nothing calls itself again and again. */
static void expect_rest(struct fixture *f)
{
	int steps = 0;
	while (loop_step(f->loop, clock_deadline(20)) > 0 && steps < 100)
		steps++;
	assert_true(steps < 100);
}

static void reset(int *fd)
{
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	fd_close(TAKE_FD(*fd));
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	begin(f);
	assert_int_equal(send(f->client, "early", 5, 0), 5);
	connect_inside(f);
	expect(f, f->server, "early");
	shutdown(f->client, SHUT_WR);
	expect_end(f, f->server);
	assert_int_equal(send(f->server, "answer", 6, 0), 6);
	expect(f, f->client, "answer");
	assert_false(f->ended);
	fd_close(TAKE_FD(f->server));
	expect_end(f, f->client);
	run_until(f, &f->ended);
}

static void test_resets(void **state)
{
	struct fixture *f = *state;
	begin(f);
	connect_inside(f);
	assert_int_equal(send(f->server, "last words", 10, 0), 10);
	expect(f, f->client, "last words");
	reset(&f->server);
	expect_reset(f, f->client);
	run_until(f, &f->ended);
	fd_close(TAKE_FD(f->client));
	f->ended = f->connected = 0;
	begin(f);
	connect_inside(f);
	reset(&f->client);
	expect_reset(f, f->server);
	run_until(f, &f->ended);
}

/* A reset of one side that has sent its end already. */
static void test_reset_after_end(void **state)
{
	struct fixture *f = *state;
	begin(f);
	connect_inside(f);
	shutdown(f->client, SHUT_WR);
	expect_end(f, f->server);
	reset(&f->client);
	run_until(f, &f->ended);
	int code = 0;
	socklen_t size = sizeof code;
	assert_int_equal(getsockopt(f->server, SOL_SOCKET, SO_ERROR, &code, &size), 0);
	assert_int_equal(code, EPIPE); /* of a socket that has read the end: tcp_reset() */
}

/* The server answers and closes while the client still sends. */
static void test_answer_before_close(void **state)
{
	struct fixture *f = *state;
	begin(f);
	connect_inside(f);
	assert_int_equal(send(f->client, "a body that nobody reads", 24, 0), 24);
	loop_step(f->loop, clock_deadline(WAIT_MS));
	assert_int_equal(send(f->server, "413", 3, 0), 3);
	fd_close(TAKE_FD(f->server));
	expect(f, f->client, "413");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	begin(f);
	assert_int_equal(splice_to(f, &f->nobody), 0);
	run_until(f, &f->refused);
	assert_int_equal(f->refused, ECONNREFUSED);
	assert_false(f->ended);
	assert_int_equal(send(f->client, "x", 1, 0), 1);
	connect_inside(f);
	expect(f, f->server, "x");
	assert_int_equal(send(f->server, "y", 1, 0), 1);
	expect(f, f->client, "y");
	expect_rest(f);
}

static void test_client_leaves_first(void **state)
{
	struct fixture *f = *state;
	begin(f);
	shutdown(f->client, SHUT_WR); /* it may still read */
	loop_step(f->loop, clock_deadline(WAIT_MS));
	assert_false(f->ended);
	reset(&f->client);
	run_until(f, &f->ended);
}

static void narrow(int fd, int option)
{
	const int size = 32 * 1024, one = 1;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &size, sizeof size), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
}

/* Nothing is lost while the reader does not read, and the sender cannot go on without end. It sends
 * pieces of this size; little ones end when the way is full, which narrow sockets make early. */
static void pass_big(struct fixture *f, size_t piece)
{
	AUTOFREE char *sent = xmalloc(BIG), *got = xmalloc(BIG);
	size_t out = 0, in = 0;
	for (size_t i = 0; i < BIG; i++)
		sent[i] = (char)(i * 7 + i / 4096);
	begin(f);
	connect_inside(f);
	if (piece < BIG) {
		narrow(f->accepted, SO_SNDBUF);
		narrow(f->client, SO_RCVBUF);
		narrow(f->server, SO_SNDBUF);
	}
	for (int quiet = 0; quiet < 5;) {
		ssize_t n = send(f->server, sent + out, MIN(BIG - out, piece), 0);
		out += n > 0 ? (size_t)n : 0;
		quiet = loop_step(f->loop, n > 0 ? 0 : clock_deadline(20)) > 0 || n > 0 ? 0 : quiet + 1;
	}
	const size_t size = piece < BIG ? out : BIG;
	uint64_t deadline = clock_deadline(WAIT_MS);
	while (in < size && clock_now_ms() < deadline) {
		ssize_t n = out < size ? send(f->server, sent + out, size - out, 0) : 0;
		out += n > 0 ? (size_t)n : 0;
		loop_step(f->loop, clock_deadline(1));
		n = recv(f->client, got + in, BIG - in, 0);
		in += n > 0 ? (size_t)n : 0;
	}
	assert_true(size == BIG || (size > 0 && size < BIG / 2));
	assert_int_equal(in, size);
	assert_memory_equal(sent, got, size);
}

static void test_backpressure(void **state)
{
	pass_big(*state, BIG);
}

static void test_backpressure_of_messages(void **state)
{
	pass_big(*state, 1000);
}

/* A message goes through without any further descriptor. */
static void test_messages_need_no_pipes(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;
	begin(f);
	connect_inside(f);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(f->client, "ask", 3, 0), 3);
		expect(f, f->server, "ask");
		assert_int_equal(send(f->server, "answer", 6, 0), 6);
		expect(f, f->client, "answer");
	}
	assert_int_equal(send(f->server, "last", 4, 0), 4);
	fd_close(TAKE_FD(f->server));
	expect(f, f->client, "last");
	expect_end(f, f->client);
	fd_close(TAKE_FD(f->client));
	run_until(f, &f->ended);
	setrlimit(RLIMIT_NOFILE, &before);
}

/* Reads until it has that many bytes, or the end. */
static size_t receive_all(struct fixture *f, int fd, char *bytes, size_t size)
{
	size_t got = 0;
	for (ssize_t n = 1; got < size && n > 0; got += n > 0 ? (size_t)n : 0)
		n = receive(f, fd, bytes + got, size - got);
	return got;
}

/* Urgent data is part of the stream, also in front of the end. */
static void test_urgent(void **state)
{
	struct fixture *f = *state;
	char bytes[LITTLE];
	begin(f);
	assert_int_equal(send(f->client, "ab", 2, 0), 2);
	assert_int_equal(send(f->client, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(f->client, "cd", 2, 0), 2);
	connect_inside(f);
	assert_int_equal(receive_all(f, f->server, bytes, 5), 5);
	assert_memory_equal(bytes, "ab!cd", 5);
	assert_int_equal(send(f->client, "?", 1, MSG_OOB), 1);
	assert_int_equal(receive_all(f, f->server, bytes, 1), 1);
	assert_int_equal(send(f->client, "ef", 2, 0), 2);
	assert_int_equal(send(f->client, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(f->client, "gh", 2, 0), 2);
	fd_close(TAKE_FD(f->client));
	assert_int_equal(receive_all(f, f->server, bytes, 6), 5);
	assert_memory_equal(bytes, "ef!gh", 5);
}

static struct tcp_info tcp_info_of(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof info;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info;
}

static int tcp_option(int fd, int option)
{
	int value;
	socklen_t size = sizeof value;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, option, &value, &size), 0);
	return value;
}

/* The last acknowledgement of the handshake goes with the first message, and the end with the last.
 * The service's pieces are acknowledged at once nevertheless. */
static void test_saves_packets(void **state)
{
	struct fixture *f = *state;
	begin(f);
	assert_int_equal(send(f->client, "ask", 3, 0), 3);
	connect_inside(f);
	int inside = splice_inside(f->splice);
	expect(f, f->server, "ask");
	assert_int_equal(tcp_info_of(inside).tcpi_segs_out, 2); /* and SYN */
	assert_int_equal(tcp_option(inside, TCP_QUICKACK), 1);
	assert_int_equal(send(f->server, "answer", 6, MSG_MORE), 6);
	fd_close(TAKE_FD(f->server));
	expect(f, f->client, "answer");
	expect_end(f, f->client);
	assert_int_equal(tcp_info_of(f->accepted).tcpi_data_segs_out, 1);
	assert_true(tcp_info_of(f->client).tcpi_segs_in <= 3); /* SYN, acknowledgement, answer with end */
}

/* A service may speak first: it hears of the client at once. */
static void test_service_speaks_first(void **state)
{
	struct fixture *f = *state;
	begin(f);
	connect_inside(f);
	assert_true(f->server >= 0);
	assert_int_equal(tcp_option(splice_inside(f->splice), TCP_NODELAY), 0);
	assert_int_equal(send(f->server, "220", 3, 0), 3);
	expect(f, f->client, "220");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(f->client, "helo", 4, 0), 4);
		expect(f, f->server, "helo");
		assert_int_equal(tcp_option(splice_inside(f->splice), TCP_NODELAY), i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_saves_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_service_speaks_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_half_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_resets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reset_after_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answer_before_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_client_leaves_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_urgent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_messages_need_no_pipes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backpressure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backpressure_of_messages, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
