/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/dial, asked over a pair of sockets. Services listen on 127.0.0.2, which the agent tries
 * only if it is asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/service.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { WAIT_MS = 60000 };
#define ELSEWHERE "127.0.0.2"

struct dialled {
	struct loop *loop;
	struct http_server *server;
	struct boot_request boot;
	struct agent agent;
	int done, code, fd;
};

static const struct http_route routes[] = { { "POST", "/v1/dial", dial_handle, 0 }, { 0 } };

static int set_up(void **state)
{
	struct dialled *d = xnew(struct dialled);
	*state = d;
	d->fd = -1;
	assert_int_equal(loop_new(&d->loop), 0);
	d->agent = (struct agent){ .loop = d->loop, .phase = PHASE_RUNNING, .boot = &d->boot };
	return http_server_new(d->loop, routes, &d->agent, &d->server);
}

static int tear_down(void **state)
{
	struct dialled *d = *state;
	fd_close(d->fd);
	while (loop_step(d->loop, clock_now_ms()) > 0)
		; /* the relays end */
	http_server_free(d->server);
	loop_free(d->loop);
	free(d);
	return 0;
}

static void on_upgraded(int fd, struct buffer *early, void *data)
{
	struct dialled *d = data;
	d->done = 1;
	d->fd = fd;
}

static void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct dialled *d = data;
	d->done = 1;
	d->code = code;
}

/* Dials, with what the body says beside protocol and port; 0 or the code of the refusal. */
static int dial(struct dialled *d, const char *protocol, int port, const char *address)
{
	const struct http_call_events events = { .done = on_done, .upgrade = "holm-stream", .upgraded = on_upgraded };
	struct json_object *body = json_object_new_object();
	struct http_call *call = NULL;
	uint64_t deadline = clock_deadline(WAIT_MS);
	int ends[2];
	json_add_string(body, "protocol", protocol);
	json_add_u64(body, "port", (uint64_t)port);
	json_add_string(body, "address", address);
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	assert_int_equal(http_server_serve(d->server, ends[1]), 0);
	d->done = d->code = 0;
	assert_int_equal(http_call(d->loop, ends[0], "POST", "/v1/dial", body, deadline, &events, d, &call), 0);
	while (!d->done && clock_now_ms() < deadline)
		loop_step(d->loop, deadline);
	assert_true(d->done);
	return d->code;
}

static int listen_at(const char *address, int type, int *ret_port)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, address, &a.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
	assert_true(type == SOCK_DGRAM || listen(fd, 1) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void test_address(void **state)
{
	struct dialled *d = *state;
	char text[8];
	int port;
	AUTO_FD int listener = listen_at(ELSEWHERE, SOCK_STREAM, &port);
	assert_int_equal(dial(d, "tcp", port, NULL), -ECONNREFUSED);
	assert_int_equal(dial(d, "tcp", port, ELSEWHERE), 0);
	AUTO_FD int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	assert_int_equal(write(accepted, "hello", 5), 5);
	while (fd_wait(d->fd, POLLIN, 0) == 0)
		assert_true(loop_step(d->loop, clock_deadline(WAIT_MS)) > 0);
	assert_int_equal(read(d->fd, text, sizeof text), 5);
	assert_memory_equal(text, "hello", 5);
}

static void test_machine_itself(void **state)
{
	struct dialled *d = *state;
	int port;
	AUTO_FD int listener = listen_at("127.0.0.1", SOCK_STREAM, &port);
	assert_int_equal(dial(d, "tcp", port, NULL), 0);
	AUTO_FD int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
}

static void test_udp_address(void **state)
{
	struct dialled *d = *state;
	char text[8];
	int port;
	AUTO_FD int service = listen_at(ELSEWHERE, SOCK_DGRAM, &port);
	assert_int_equal(dial(d, "udp", port, ELSEWHERE), 0);
	assert_int_equal(write(d->fd, "\0\4ping", 6), 6);
	assert_true(loop_step(d->loop, clock_deadline(WAIT_MS)) > 0);
	assert_int_equal(recv(service, text, sizeof text, 0), 4);
	assert_memory_equal(text, "ping", 4);
}

static void test_bad_requests(void **state)
{
	static const char *const bad[] = { "", "localhost", "::1", "127.0.0.2:80", "127.0.0" };
	struct dialled *d = *state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(dial(d, "tcp", 80, bad[i]), -EINVAL);
	assert_int_equal(dial(d, "tcp", 0, ELSEWHERE), -EINVAL);
	assert_int_equal(dial(d, "sctp", 80, ELSEWHERE), -EINVAL);
	d->agent.phase = PHASE_BOOTING;
	assert_true(dial(d, "tcp", 80, ELSEWHERE) < 0);
}

#define DIAL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIAL_TEST(test_address),
		DIAL_TEST(test_machine_itself),
		DIAL_TEST(test_udp_address),
		DIAL_TEST(test_bad_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
