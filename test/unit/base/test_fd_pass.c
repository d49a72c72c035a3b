/* SPDX-License-Identifier: Apache-2.0
 * Descriptors over unix sockets: a peer decides how many come, so every test counts what is open
 * before and after. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

static int near, far, before, zero;

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int begin(int type)
{
	int pair[2];
	if (fd_socketpair(type, pair) < 0 || (zero = open("/dev/zero", O_RDONLY | O_CLOEXEC)) < 0)
		return -1;
	near = pair[0];
	far = pair[1];
	before = open_descriptors();
	return 0;
}

static int begin_packets(void **state)
{
	return begin(SOCK_SEQPACKET);
}

static int begin_stream(void **state)
{
	return begin(SOCK_STREAM);
}

static int end(void **state)
{
	fd_close(near);
	fd_close(far);
	fd_close(zero);
	return 0;
}

/* Sends `size` bytes of "abc" with `count` descriptors of /dev/zero. */
static void send_some(size_t size, size_t count)
{
	int fds[FD_PASS_MAX];
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		fds[i] = zero;
	assert_int_equal(fd_send_bytes(near, "abc", size, fds, count, 0), size);
}

static void they_travel(void **state)
{
	char text[8], byte = 1;
	struct fd_pass p;
	send_some(3, 2);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 2, &p, 0), 3);
	assert_memory_equal(text, "abc", 3);
	assert_int_equal(p.count, 2);
	assert_false(p.truncated);
	for (size_t i = 0; i < p.count; i++) {
		assert_true(fcntl(p.fds[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(read(p.fds[i], &byte, 1), 1);
		assert_int_equal(byte, 0);
	}
	fd_pass_close(&p);
	assert_int_equal(p.count, 0);
	assert_int_equal(open_descriptors(), before);
}

static void none_come_along(void **state)
{
	char text[8];
	struct fd_pass p = { .count = 7, .truncated = 1 };
	send_some(3, 0);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 4, &p, 0), 3);
	assert_int_equal(p.count, 0);
	assert_false(p.truncated);
}

/* Whatever the number is: what is too many is never opened, not even where the alignment of control
 * messages leaves room for one more. */
static void too_many_are_not_opened(void **state)
{
	for (size_t sent = 1; sent <= FD_PASS_MAX; sent++)
		for (size_t max = 0; max <= sent; max++) {
			char text[8];
			struct fd_pass p;
			send_some(3, sent);
			assert_int_equal(fd_receive_bytes(far, text, sizeof text, max, &p, 0), 3);
			assert_int_equal(p.count, max);
			assert_int_equal(p.truncated, max < sent);
			assert_int_equal(open_descriptors(), before + (int)max);
			fd_pass_close(&p);
		}
	assert_int_equal(open_descriptors(), before);
}

static void there_is_a_most(void **state)
{
	int fds[FD_PASS_MAX + 1];
	char text[8];
	struct fd_pass p;
	for (size_t i = 0; i <= FD_PASS_MAX; i++)
		fds[i] = zero;
	assert_int_equal(fd_send_bytes(near, "abc", 3, fds, FD_PASS_MAX + 1, 0), -EINVAL);
	send_some(3, FD_PASS_MAX);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, SIZE_MAX, &p, 0), 3);
	assert_int_equal(p.count, FD_PASS_MAX);
	assert_false(p.truncated);
	fd_pass_close(&p);
}

/* A process that may open no more: the kernel delivers those that it can and cuts the control
 * message. */
static void a_full_process_is_told(void **state)
{
	struct rlimit old, tight;
	char text[8];
	struct fd_pass p;
	int highest = fcntl(zero, F_DUPFD_CLOEXEC, 0);
	assert_true(highest >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = (struct rlimit){ (rlim_t)highest + 2, old.rlim_max };
	send_some(3, 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ssize_t n = fd_receive_bytes(far, text, sizeof text, 3, &p, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(n, 3);
	assert_int_equal(p.count, 1);
	assert_true(p.truncated);
	fd_pass_close(&p);
	fd_close(highest);
	assert_int_equal(open_descriptors(), before);
}

static void a_long_packet_is_cut(void **state)
{
	char text[2];
	struct fd_pass p;
	send_some(3, 1);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 1, &p, 0), 2);
	assert_true(p.truncated);
	assert_int_equal(p.count, 1);
	fd_pass_close(&p);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 1, &p, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(p.count, 0);
}

/* Nobody looks for descriptors where nothing came. */
static void an_empty_packet_brings_none(void **state)
{
	char text[8];
	struct fd_pass p;
	send_some(0, 2);
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 2, &p, 0), 0);
	assert_int_equal(p.count, 0);
	assert_int_equal(open_descriptors(), before);
}

static void the_end(void **state)
{
	char text[8];
	int got[1];
	size_t count = 5;
	struct fd_pass p = { .count = 7 };
	fd_close(near);
	near = -1;
	assert_int_equal(fd_receive_bytes(far, text, sizeof text, 2, &p, 0), 0);
	assert_int_equal(p.count, 0);
	assert_int_equal(fd_receive(far, got, 1, &count), -ECONNRESET);
	assert_int_equal(count, 0);
	assert_int_equal(fd_send_bytes(far, "abc", 3, &zero, 1, 0), -EPIPE);
	assert_int_equal(fd_send(far, &zero, 1), -EPIPE);
}

static void one_byte_carries_them(void **state)
{
	int two[] = { zero, zero }, got[1];
	size_t count = 0;
	assert_int_equal(fd_send(near, two, 2), 0);
	assert_int_equal(fd_receive(far, got, 1, &count), 0);
	assert_int_equal(count, 1);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	fd_close(got[0]);
	assert_int_equal(open_descriptors(), before);
}

#define PACKETS(f) cmocka_unit_test_setup_teardown(f, begin_packets, end)
#define STREAM(f)                                                                                                      \
	{                                                                                                              \
#f " (stream)", f, begin_stream, end, NULL                                                             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = { PACKETS(they_travel), STREAM(they_travel), PACKETS(none_come_along),
		STREAM(none_come_along), PACKETS(too_many_are_not_opened), STREAM(too_many_are_not_opened),
		PACKETS(there_is_a_most), PACKETS(a_full_process_is_told), PACKETS(a_long_packet_is_cut),
		PACKETS(an_empty_packet_brings_none), PACKETS(the_end), STREAM(the_end),
		STREAM(one_byte_carries_them) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
