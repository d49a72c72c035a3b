/* SPDX-License-Identifier: Apache-2.0
 * Bytes between two descriptors and a socket: through pipes, through sockets, to the last one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "ssh/pump.h"

enum { BYTES = 3 * 1000 * 1000, WAIT_MS = 30 * 1000 };

static int ended;

static void on_end(void *data)
{
	ended = 1;
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761U >> 13);
}

/* Writes what goes, counts it. */
static void put(int fd, size_t *at)
{
	unsigned char data[10007];
	size_t n = MIN(sizeof data, BYTES - *at);
	for (size_t i = 0; i < n; i++)
		data[i] = byte_at(*at + i);
	ssize_t written = n ? write(fd, data, n) : 0;
	*at += written > 0 ? (size_t)written : 0;
}

static void take(int fd, size_t *at)
{
	unsigned char data[65536];
	ssize_t n = read(fd, data, sizeof data);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(data[i], byte_at(*at + (size_t)i));
	*at += n > 0 ? (size_t)n : 0;
}

/* in, out: what the pump gets; to_in, from_out: the client's ends. All are taken. */
static void carries(int in, int to_in, int out, int from_out)
{
	struct loop *l = NULL;
	struct pump *p = NULL;
	int socket = -1;
	size_t sent = 0, echoed = 0, read_here = 0, got = 0;
	ended = 0;
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(pump_new(l, in, out, on_end, NULL, &p, &socket), 0);
	fd_set_nonblocking(to_in, 1);
	fd_set_nonblocking(from_out, 1);
	uint64_t deadline = clock_deadline(WAIT_MS);
	while ((got < BYTES || read_here < BYTES) && clock_left_ms(deadline) > 0) {
		put(to_in, &sent);
		put(socket, &echoed);
		loop_step(l, clock_deadline(1));
		take(socket, &read_here);
		take(from_out, &got);
	}
	assert_int_equal(got, BYTES);
	assert_int_equal(read_here, BYTES);
	close(socket);
	while (!ended && clock_left_ms(deadline) > 0)
		loop_step(l, deadline);
	assert_true(ended);
	pump_free(p);
	loop_free(l);
	close(in);
	close(to_in);
	if (out != in)
		close(out);
	if (from_out != to_in)
		close(from_out);
}

static void through_pipes(void **state)
{
	int a[2], b[2];
	assert_int_equal(fd_pipe(a), 0);
	assert_int_equal(fd_pipe(b), 0);
	carries(a[0], a[1], b[1], b[0]);
}

static void through_sockets(void **state)
{
	int a[2], b[2];
	assert_int_equal(fd_socketpair(SOCK_STREAM, a), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, b), 0);
	carries(a[0], a[1], b[1], b[0]);
}

static void ends_when_nobody_reads(void **state)
{
	struct loop *l = NULL;
	struct pump *p = NULL;
	int socket = -1, in[2], out[2];
	ended = 0;
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(fd_pipe(in), 0);
	assert_int_equal(fd_pipe(out), 0);
	assert_int_equal(pump_new(l, in[0], out[1], on_end, NULL, &p, &socket), 0);
	close(out[0]);
	assert_int_equal(write(socket, "x", 1), 1);
	for (uint64_t deadline = clock_deadline(WAIT_MS); !ended && clock_left_ms(deadline) > 0;)
		loop_step(l, deadline);
	assert_true(ended);
	pump_free(p);
	loop_free(l);
	close(socket);
	close(in[0]);
	close(in[1]);
	close(out[1]);
}

static void refuses_a_file(void **state)
{
	struct loop *l = NULL;
	struct pump *p = NULL;
	int socket = -1;
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(pump_new(l, fileno(file), fileno(file), on_end, NULL, &p, &socket), -EPERM);
	loop_free(l);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(through_pipes),
		cmocka_unit_test(through_sockets),
		cmocka_unit_test(ends_when_nobody_reads),
		cmocka_unit_test(refuses_a_file),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
