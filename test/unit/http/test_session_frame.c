/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/session_frame.h"

static void test_there_and_back(void **state)
{
	struct session_frame f;
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 1 << 20);
	assert_int_equal(session_frame_append(&b, SESSION_STDOUT, "abc", 3), 0);
	assert_int_equal(session_frame_append_u32(&b, SESSION_EXIT, 0x01020304), 0);
	assert_int_equal(session_frame_next(&b, &f), 1);
	assert_int_equal(f.type, SESSION_STDOUT);
	assert_int_equal(f.size, 3);
	assert_memory_equal(f.data, "abc", 3);
	buffer_consume(&b, SESSION_HEADER_SIZE + f.size);
	assert_int_equal(session_frame_next(&b, &f), 1);
	assert_int_equal(f.type, SESSION_EXIT);
	assert_memory_equal(f.data, "\1\2\3\4", 4);
	buffer_consume(&b, SESSION_HEADER_SIZE + f.size);
	assert_int_equal(session_frame_next(&b, &f), 0);
}

static void test_every_cut(void **state)
{
	struct session_frame f;
	AUTO_BUFFER struct buffer whole;
	buffer_init(&whole, 1024);
	assert_int_equal(session_frame_append(&whole, SESSION_STDIN, "hello", 5), 0);
	for (size_t n = 0; n < whole.size; n++) {
		AUTO_BUFFER struct buffer part;
		buffer_init(&part, 1024);
		assert_int_equal(buffer_append(&part, whole.data, n), 0);
		assert_int_equal(session_frame_next(&part, &f), 0);
	}
}

static void test_refused(void **state)
{
	static const unsigned char bad[][SESSION_HEADER_SIZE] = {
		{ 99 },                                 /* unknown */
		{ 3 },                                  /* a hole in the numbers */
		{ SESSION_STDIN, 1 },                   /* padding */
		{ SESSION_STDIN, 0, 0, 0, 0, 1, 0, 1 }, /* one byte over the limit */
		{ SESSION_RESIZE, 0, 0, 0, 0, 0, 0, 3 },
		{ SESSION_EXIT, 0, 0, 0, 0, 0, 0, 5 },
		{ SESSION_STDIN_END, 0, 0, 0, 0, 0, 0, 1 },
		{ SESSION_ERROR, 0, 0, 0, 0, 0, 0, 3 },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct session_frame f;
		AUTO_BUFFER struct buffer b;
		buffer_init(&b, 1024);
		assert_int_equal(buffer_append(&b, bad[i], sizeof bad[i]), 0);
		assert_int_equal(session_frame_next(&b, &f), -EBADMSG);
	}
}

static void test_limits(void **state)
{
	static char data[SESSION_FRAME_MAX + 1];
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, SESSION_FRAME_MAX);
	assert_int_equal(session_frame_append(&b, SESSION_STDOUT, data, sizeof data), -EINVAL);
	assert_int_equal(session_frame_append(&b, SESSION_STDOUT, data, SESSION_FRAME_MAX), -ENOBUFS);
	assert_int_equal(b.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
