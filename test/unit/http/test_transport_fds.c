/* SPDX-License-Identifier: Apache-2.0
 * Two transports over one socket pair, and what a peer that keeps no protocol gets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/transport.h"

struct side {
	struct transport *transport;
	int streams[64], stream_count, passed;
	char given[16], text[64];
	int closed;
};

struct pair {
	struct loop *loop;
	struct side a, b;
	int raw; /* the b end, where b is no transport */
};

static void on_accept(int fd, void *data)
{
	struct side *s = data;
	s->streams[s->stream_count++] = fd;
}

static void on_given(int fd, const void *bytes, size_t size, void *data)
{
	struct side *s = data;
	memcpy(s->given, bytes, size);
	s->streams[s->stream_count++] = fd;
}

static void on_message(const char *text, int fd, void *data)
{
	struct side *s = data;
	snprintf(s->text, sizeof s->text, "%s", text);
	s->passed = fd;
}

static void on_closed(int code, const char *why, void *data)
{
	struct side *s = data;
	s->closed = code;
	transport_free(TAKE_PTR(s->transport));
}

static const struct transport_fds_events events = {
	.accept = on_accept,
	.given = on_given,
	.message = on_message,
	.closed = on_closed,
};

static void begin(struct pair *p, int with_b)
{
	int ends[2];
	*p = (struct pair){ .a.passed = -1, .b.passed = -1, .raw = -1 };
	assert_int_equal(loop_new(&p->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_SEQPACKET, ends), 0);
	assert_int_equal(transport_fds_new(p->loop, ends[0], &events, &p->a, &p->a.transport), 0);
	if (with_b)
		assert_int_equal(transport_fds_new(p->loop, ends[1], &events, &p->b, &p->b.transport), 0);
	else
		p->raw = ends[1];
}

static void end(struct pair *p)
{
	struct side *sides[] = { &p->a, &p->b };
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < sides[i]->stream_count; j++)
			close(sides[i]->streams[j]);
		fd_close(sides[i]->passed);
		transport_free(sides[i]->transport);
	}
	fd_close(p->raw);
	loop_free(p->loop);
}

static void turn(struct pair *p)
{
	for (int i = 0; i < 100; i++)
		loop_step(p->loop, clock_deadline(1));
}

static void streams_both_ways(void **state)
{
	struct pair p;
	char byte = 0;
	begin(&p, 1);
	int mine = -1, theirs = -1;
	assert_int_equal(transport_open(p.a.transport, &mine, NULL), 0);
	assert_int_equal(transport_open(p.b.transport, &theirs, NULL), 0);
	assert_int_equal(write(mine, "x", 1), 1);
	turn(&p);
	assert_int_equal(p.a.stream_count, 1);
	assert_int_equal(p.b.stream_count, 1);
	assert_int_equal(read(p.b.streams[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(mine);
	close(theirs);
	end(&p);
}

static void many_at_once_wait_in_line(void **state)
{
	struct pair p;
	begin(&p, 1);
	for (int i = 0; i < 60; i++) {
		int fd = -1;
		assert_int_equal(transport_open(p.a.transport, &fd, NULL), 0);
		close(fd);
	}
	turn(&p);
	assert_int_equal(p.b.stream_count, 60);
	end(&p);
}

static void connections_are_given_and_messages_keep_their_order(void **state)
{
	struct pair p;
	int ends[2];
	begin(&p, 1);
	assert_int_equal(fd_socketpair(SOCK_STREAM, ends), 0);
	assert_int_equal(transport_give(p.a.transport, ends[0], "abc", 3, NULL), 0);
	assert_int_equal(transport_fds_send(p.a.transport, "hello", ends[1]), 0);
	turn(&p);
	assert_string_equal(p.b.given, "abc");
	assert_string_equal(p.b.text, "hello");
	assert_true(p.b.passed >= 0);
	char *large = xmalloc(TRANSPORT_MESSAGE_MAX + 1);
	memset(large, 'x', TRANSPORT_MESSAGE_MAX + 1);
	assert_int_equal(transport_give(p.a.transport, ends[1], large, TRANSPORT_MESSAGE_MAX + 1, NULL), -EOPNOTSUPP);
	free(large);
	close(ends[1]);
	end(&p);
}

static void nonsense_ends_it(void **state)
{
	static const char *const wrong[] = { "S", "X", "Gabc", "M\0m" };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct pair p;
		begin(&p, 0);
		size_t size = i == 3 ? 3 : strlen(wrong[i]);
		assert_int_equal(send(p.raw, wrong[i], size, 0), size);
		turn(&p);
		assert_int_equal(p.a.closed, -EPROTO);
		end(&p);
	}
}

static void only_stream_sockets_are_streams(void **state)
{
	static const int kinds[][2] = { { AF_UNIX, SOCK_DGRAM }, { AF_UNIX, SOCK_SEQPACKET }, { AF_INET, SOCK_STREAM },
		{ AF_INET, SOCK_DGRAM }, { -1, 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct pair p;
		begin(&p, 0);
		int fd = kinds[i][0] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) :
					   socket(kinds[i][0], kinds[i][1] | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		assert_int_equal(fd_send_bytes(p.raw, "S", 1, &fd, 1, 0), 1);
		close(fd);
		turn(&p);
		assert_int_equal(p.a.closed, -EPROTO);
		end(&p);
	}
}

/* Nothing of what comes too many stays open. */
static void one_descriptor_at_most(void **state)
{
	static const char *const packets[] = { "Mtext", "S", "" };
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		struct pair p;
		int watched[2], two[2];
		char byte;
		begin(&p, 0);
		assert_int_equal(fd_socketpair(SOCK_STREAM, watched), 0);
		two[0] = two[1] = watched[1];
		size_t size = strlen(packets[i]);
		assert_int_equal(fd_send_bytes(p.raw, packets[i], size, two, 2, 0), size);
		close(watched[1]);
		turn(&p);
		assert_int_equal(p.a.closed, size ? -EPROTO : -ECONNRESET);
		assert_int_equal(recv(watched[0], &byte, 1, MSG_DONTWAIT), 0); /* its other end is closed everywhere */
		close(watched[0]);
		end(&p);
	}
}

static void the_other_end_gone(void **state)
{
	struct pair p;
	begin(&p, 0);
	fd_close(TAKE_FD(p.raw));
	turn(&p);
	assert_true(p.a.closed < 0);
	assert_null(p.a.transport);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_both_ways),
		cmocka_unit_test(many_at_once_wait_in_line),
		cmocka_unit_test(connections_are_given_and_messages_keep_their_order),
		cmocka_unit_test(nonsense_ends_it),
		cmocka_unit_test(only_stream_sockets_are_streams),
		cmocka_unit_test(one_descriptor_at_most),
		cmocka_unit_test(the_other_end_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
