/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "docker/frame.h"

/* Reads the bytes in pieces of a size: what came on stdout and on stderr, or -EBADMSG. */
static int read_in_pieces(struct buffer *in, size_t step, struct buffer *out, struct buffer *err)
{
	struct docker_frames f = { 0 };
	for (size_t at = 0; at < in->size;) {
		struct docker_piece piece;
		ssize_t n = docker_frames_take(&f, in->data + at, MIN(step, in->size - at), &piece);
		if (n < 0)
			return (int)n;
		assert_true(n > 0);
		at += (size_t)n;
		if (piece.size)
			buffer_append(piece.stream == DOCKER_STDERR ? err : out, piece.data, piece.size);
	}
	return 0;
}

static void any_pieces(void **state)
{
	AUTO_BUFFER struct buffer in;
	buffer_init(&in, 4096);
	docker_frame_append(&in, DOCKER_STDOUT, "hello ", 6);
	docker_frame_append(&in, DOCKER_STDERR, "oh", 2);
	docker_frame_append(&in, DOCKER_STDOUT, "", 0);
	docker_frame_append(&in, DOCKER_STDOUT, "world", 5);
	for (size_t step = 1; step <= in.size; step++) {
		AUTO_BUFFER struct buffer out, err;
		buffer_init(&out, 4096);
		buffer_init(&err, 4096);
		assert_int_equal(read_in_pieces(&in, step, &out, &err), 0);
		assert_string_equal(buffer_string(&out), "hello world");
		assert_string_equal(buffer_string(&err), "oh");
	}
}

static void what_is_no_frame(void **state)
{
	static const char heads[][DOCKER_FRAME_HEADER] = { { 0, 0, 0, 0, 0, 0, 0, 1 }, { 3, 0, 0, 0, 0, 0, 0, 1 },
		{ 1, 1, 0, 0, 0, 0, 0, 1 }, { 'H', 'T', 'T', 'P', '/', '1', '.', '1' } };
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct docker_frames f = { 0 };
		struct docker_piece piece;
		assert_int_equal(docker_frames_take(&f, heads[i], sizeof heads[i], &piece), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_pieces), cmocka_unit_test(what_is_no_frame) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
