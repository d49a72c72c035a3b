/* SPDX-License-Identifier: Apache-2.0
 * The body of a request on its way to a program: its ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/docker/private.h"

enum { WAIT_MS = 5000, TURNS_MAX = 64 };

struct fixture {
	struct loop *loop;
	struct docker_upload *upload;
	int client, keeper, input;
	int broken, saw_end; /* saw_end: the program's input had its end before that */
};

/* Whether the input is at its end, behind `text`. */
static int is_at_end(int input, const char *text)
{
	char got[64];
	ssize_t n;
	fd_set_nonblocking(input, 1);
	n = read(input, got, sizeof got);
	if (n > 0) {
		assert_int_equal(n, strlen(text));
		assert_memory_equal(got, text, (size_t)n);
		n = read(input, got, sizeof got);
	}
	return n == 0;
}

static void on_broken(void *data)
{
	struct fixture *f = data;
	f->broken++;
	f->saw_end |= is_at_end(f->input, "abc");
}

static void begin(struct fixture *f, const char *head, int watched)
{
	int ends[2];
	struct buffer raw;
	*f = (struct fixture){ .input = -1 };
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	f->client = ends[0];
	f->keeper = ends[1];
	buffer_init(&raw, HTTP_BODY_MAX);
	assert_int_equal(buffer_append_string(&raw, head), 0);
	assert_int_equal(docker_upload_new(f->loop, f->keeper, &raw, &f->upload, &f->input, NULL), 0);
	if (watched)
		docker_upload_watch(f->upload, on_broken, f);
}

static void end(struct fixture *f)
{
	docker_upload_free(f->upload);
	loop_free(f->loop);
	fd_close(f->client);
	fd_close(f->keeper);
	fd_close(f->input);
}

/* Runs until nothing happens any more. A descriptor that is always ready would go on for good. */
static void settle(struct fixture *f)
{
	int turns = 0;
	while (loop_step(f->loop, clock_deadline(50)) == 1)
		assert_true(++turns < TURNS_MAX);
}

static void test_whole_body(void **state)
{
	struct fixture f;
	begin(&f, "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 1);
	settle(&f);
	assert_int_equal(f.broken, 0);
	assert_true(is_at_end(f.input, "abc"));
	fd_close(TAKE_FD(f.client));
	settle(&f);
	assert_int_equal(f.broken, 1);
	end(&f);
}

static void test_chunks(void **state)
{
	struct fixture f;
	begin(&f, "POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nb", 1);
	assert_int_equal(fd_write_full(f.client, "c\r\n0\r\n\r\n", 8), 0);
	settle(&f);
	assert_int_equal(f.broken, 0);
	assert_true(is_at_end(f.input, "abc"));
	end(&f);
}

static void test_no_end(void **state)
{
	static const char *const heads[] = { "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" };
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		for (int hang_up = 0; hang_up < 2; hang_up++) {
			struct fixture f;
			begin(&f, heads[i], 1);
			if (hang_up)
				fd_close(TAKE_FD(f.client));
			else
				assert_int_equal(shutdown(f.client, SHUT_WR), 0);
			settle(&f);
			assert_int_equal(f.broken, 1);
			assert_false(f.saw_end);
			assert_true(is_at_end(f.input, "abc"));
			end(&f);
		}
}

static void test_malformed(void **state)
{
	struct fixture f;
	begin(&f, "POST /build HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 1);
	settle(&f);
	assert_int_equal(f.broken, 1);
	end(&f);
}

static void test_nobody_watches(void **state)
{
	struct fixture f;
	begin(&f, "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 0);
	fd_close(TAKE_FD(f.client));
	settle(&f);
	assert_true(is_at_end(f.input, "abc"));
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_body),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_no_end),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nobody_watches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
