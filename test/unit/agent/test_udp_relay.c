/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/udp_relay.h"
#include "base/clock.h"
#include "tree.h"

enum { WAIT_MS = 60000 };

struct relayed {
	struct loop *loop;
	int service, stream;
	struct udp_targets targets;
};

static int make_service(int family, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in four = { .sin_family = AF_INET,
		.sin_port = port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*ret_size = family == AF_INET ? sizeof four : sizeof six;
	memcpy(ret, family == AF_INET ? (void *)&four : (void *)&six, *ret_size);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, *ret_size) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret, ret_size) < 0)
		skip(); /* no IPv6 here */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

static void relay(struct relayed *relayed, const char *early_bytes, size_t early_size)
{
	int ends[2];
	AUTO_BUFFER struct buffer early;
	buffer_init(&early, 64);
	buffer_append(&early, early_bytes, early_size);
	assert_int_equal(loop_new(&relayed->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	fd_set_nonblocking(ends[1], 1);
	relayed->stream = ends[0];
	udp_relay_start(relayed->loop, ends[1], &relayed->targets, &early);
}

static void end(struct relayed *relayed)
{
	close(relayed->stream);
	assert_true(loop_step(relayed->loop, clock_deadline(WAIT_MS)) > 0);
	close(relayed->service);
	loop_free(relayed->loop);
}

/* Answers the next datagram, which says `wanted`. */
static void answers(struct relayed *relayed, const char *wanted)
{
	char text[64];
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	/* A refusal may come a moment after the datagram was sent. */
	for (int i = 0; i < WAIT_MS / 20 && fd_wait(relayed->service, POLLIN, clock_deadline(20)) == 0; i++)
		loop_step(relayed->loop, clock_deadline(20));
	ssize_t n = recvfrom(relayed->service, text, sizeof text - 1, 0, (struct sockaddr *)&from, &size);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, wanted);
	assert_int_equal(sendto(relayed->service, "answer", 6, 0, (struct sockaddr *)&from, size), 6);
	assert_true(loop_step(relayed->loop, clock_deadline(WAIT_MS)) > 0);
	assert_int_equal(read(relayed->stream, text, sizeof text), 8);
	assert_memory_equal(text, "\0\6answer", 8);
}

static void test_both_ways(void **state)
{
	struct relayed relayed = { .targets.count = 1 };
	char text[64];
	relayed.service = make_service(AF_INET, 0, &relayed.targets.items[0].address, &relayed.targets.items[0].size);
	relay(&relayed, "\0\5fir", 5);
	assert_int_equal(write(relayed.stream, "st\0\3two", 7), 7);
	assert_true(loop_step(relayed.loop, clock_deadline(WAIT_MS)) > 0);
	answers(&relayed, "first");
	assert_int_equal(recv(relayed.service, text, sizeof text, 0), 3);
	end(&relayed);
}

/* Nobody listens at the first address; later somebody does there, and nobody at the second. */
static void test_a_service_of_the_other_family(void **state)
{
	struct relayed relayed = { .targets.count = 2 };
	struct sockaddr_storage ignored;
	socklen_t size;
	int closed = make_service(AF_INET, 0, &relayed.targets.items[0].address, &relayed.targets.items[0].size);
	uint16_t port = ((struct sockaddr_in *)&relayed.targets.items[0].address)->sin_port;
	close(closed);
	relayed.service =
	    make_service(AF_INET6, port, &relayed.targets.items[1].address, &relayed.targets.items[1].size);
	relay(&relayed, "\0\5first", 7);
	answers(&relayed, "first");
	assert_int_equal(write(relayed.stream, "\0\3two", 5), 5);
	assert_true(loop_step(relayed.loop, clock_deadline(WAIT_MS)) > 0);
	answers(&relayed, "two");
	close(relayed.service);
	relayed.service = make_service(AF_INET, port, &ignored, &size);
	assert_int_equal(write(relayed.stream, "\0\5three", 7), 7);
	assert_true(loop_step(relayed.loop, clock_deadline(WAIT_MS)) > 0);
	answers(&relayed, "three");
	end(&relayed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_a_service_of_the_other_family),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
