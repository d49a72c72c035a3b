/* SPDX-License-Identifier: Apache-2.0
 * The agent's end of a channel whose other end may have been taken over. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/core/channel.h"
#include "agent/core/kept.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

static int ends[2];

static int begin(void **state)
{
	return channel_new(ends);
}

static int end(void **state)
{
	fd_close(ends[0]);
	fd_close(ends[1]);
	return 0;
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void messages_and_a_descriptor(void **state)
{
	AUTO_JSON struct json_object *first = NULL, *second = NULL;
	const char *text = NULL;
	int fd = 0;
	assert_int_equal(channel_send_string(ends[0], "word", "hello"), 0);
	assert_int_equal(channel_send(ends[0], json_object_new_object(), ends[0]), 0);
	assert_int_equal(channel_receive(ends[1], &first, &fd), 1);
	assert_int_equal(json_get_string(first, "word", &text, NULL), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(fd, -1);
	assert_int_equal(channel_receive(ends[1], &second, &fd), 1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	fd_close(fd);
}

/* Nothing of what is refused stays open. */
static void what_is_no_message_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t fds;
	} wrong[] = { { "{}", 2 }, { "{}", 3 }, { "[]", 1 }, { "{", 1 }, { "", 1 } };
	int before = open_descriptors();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct json_object *o = NULL;
		int fds[] = { ends[0], ends[0], ends[0] }, fd = -1;
		size_t size = strlen(wrong[i].text);
		assert_int_equal(fd_send_bytes(ends[0], wrong[i].text, size, fds, wrong[i].fds, 0), size);
		int r = channel_receive(ends[1], &o, &fd);
		assert_true(size ? r < 0 : r == 0);
		assert_null(o);
		assert_int_equal(open_descriptors(), before);
	}
}

static void too_long_is_refused(void **state)
{
	struct json_object *o = NULL;
	int fd = -1;
	AUTOFREE char *text = xmalloc(CHANNEL_MESSAGE_MAX + 1);
	memset(text, ' ', CHANNEL_MESSAGE_MAX + 1);
	memcpy(text, "{}", 2);
	assert_int_equal(fd_send_bytes(ends[0], text, CHANNEL_MESSAGE_MAX + 1, NULL, 0, 0), CHANNEL_MESSAGE_MAX + 1);
	assert_int_equal(channel_receive(ends[1], &o, &fd), -EBADMSG);
}

static void the_end(void **state)
{
	struct json_object *o = NULL;
	int fd = -1;
	assert_int_equal(fd_set_nonblocking(ends[1], 1), 0);
	assert_int_equal(channel_receive(ends[1], &o, &fd), -EAGAIN);
	fd_close(TAKE_FD(ends[0]));
	assert_int_equal(channel_receive(ends[1], &o, &fd), 0);
}

static void the_reaper_keeps_descriptors(void **state)
{
	const uint8_t unknown = KEPT_COUNT;
	int kept[KEPT_COUNT], before = open_descriptors();
	memset(kept, 0xff, sizeof kept);
	assert_int_equal(kept_receive(ends[1], kept), 0);
	assert_int_equal(kept_send(ends[0], KEPT_CONSOLE, ends[0]), 0);
	assert_int_equal(kept_send(ends[0], KEPT_ENGINE_PLACE, ends[0]), 0);
	assert_int_equal(kept_send(ends[0], KEPT_CONSOLE, ends[1]), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kept_receive(ends[1], kept), 1);
	assert_int_equal(open_descriptors(), before + 2);
	assert_int_equal(kept_send(ends[0], KEPT_CONSOLE, -1), 0);
	assert_int_equal(kept_receive(ends[1], kept), 1);
	assert_int_equal(kept[KEPT_CONSOLE], -1);
	assert_int_equal(send(ends[0], &unknown, 1, 0), 1);
	assert_int_equal(kept_receive(ends[1], kept), -EBADMSG);
	fd_close(kept[KEPT_ENGINE_PLACE]);
	fd_close(TAKE_FD(ends[0]));
	assert_int_equal(kept_receive(ends[1], kept), -ECONNRESET);
}

static void on_done(int code, const char *text, void *data)
{
	*(int *)data = code;
}

/* A child stands for the worker of an agent before this one. */
static void a_worker_is_adopted(void **state)
{
	static const struct worker_events events = { .done = on_done };
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct worker *w = NULL;
	int code = 1;
	assert_int_equal(loop_new(&l), 0);
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(ends[1]);
		_exit(channel_send(ends[0], json_object_new_object(), -1));
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	fd_close(TAKE_FD(ends[0]));
	assert_int_equal(worker_adopt(l, TAKE_FD(ends[1]), pidfd, &events, &code, &w), 0);
	assert_int_equal(worker_pid(w), 0);
	while (code == 1)
		assert_true(loop_step(l, clock_deadline(60000)) > 0);
	assert_int_equal(code, -EIO);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_and_a_descriptor),
		TEST(what_is_no_message_is_refused),
		TEST(too_long_is_refused),
		TEST(the_end),
		TEST(the_reaper_keeps_descriptors),
		TEST(a_worker_is_adopted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
