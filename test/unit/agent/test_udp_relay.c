/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/service/udp_relay.h"
#include "base/clock.h"
#include "tree.h"

enum { WAIT_MS = 5000 };

/* A UDP socket on a loopback port of its own, and one connected to it. */
static void make_pair(int *service, int *client)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	*service = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(*service, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(*service, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(*client, (struct sockaddr *)&address, sizeof address), 0);
}

static void test_both_ways(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	int service, client, ends[2];
	char text[64];
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	AUTO_BUFFER struct buffer early;
	buffer_init(&early, 64);
	buffer_append(&early, "\0\5fir", 5);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	fd_set_nonblocking(ends[1], 1);
	make_pair(&service, &client);
	udp_relay_start(l, ends[1], client, &early);
	assert_int_equal(write(ends[0], "st\0\3two", 7), 7);
	assert_true(loop_step(l, clock_deadline(WAIT_MS)) > 0);
	assert_int_equal(recvfrom(service, text, sizeof text, 0, (struct sockaddr *)&from, &size), 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(recv(service, text, sizeof text, 0), 3);
	assert_int_equal(sendto(service, "answer", 6, 0, (struct sockaddr *)&from, size), 6);
	assert_true(loop_step(l, clock_deadline(WAIT_MS)) > 0);
	assert_int_equal(read(ends[0], text, sizeof text), 8);
	assert_memory_equal(text, "\0\6answer", 8);
	close(ends[0]);
	assert_true(loop_step(l, clock_deadline(WAIT_MS)) > 0);
	close(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_both_ways) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
