/* SPDX-License-Identifier: Apache-2.0
 * The monitor client against a peer that we play ourselves, step by step. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "isolation/vm/qmp.h"

static struct peer {
	struct loop *loop;
	struct qmp *qmp;
	int fd;
	int ready, closed, close_code, answers, last_code;
	char event[64], why[128];
	int64_t value;
} peer;

static void on_ready(void *data)
{
	peer.ready++;
}

static void on_event(const char *name, struct json_object *event_data, void *data)
{
	snprintf(peer.event, sizeof(peer.event), "%s", name);
	if (event_data)
		json_get_i64(event_data, "value", &peer.value, NULL);
}

static void on_closed(int code, const char *why, void *data)
{
	peer.closed++;
	peer.close_code = code;
}

static void on_done(int code, struct json_object *result, const char *why, void *data)
{
	peer.answers++;
	peer.last_code = code;
	snprintf(peer.why, sizeof(peer.why), "%s", why ? why : "");
}

static int set_up(void **state)
{
	static const struct qmp_events events = { .ready = on_ready, .event = on_event, .closed = on_closed };
	int pair[2];
	peer = (struct peer){ .fd = -1 };
	if (loop_new(&peer.loop) < 0 || fd_socketpair(SOCK_STREAM, pair) < 0)
		return -1;
	peer.fd = pair[1];
	return qmp_new(peer.loop, pair[0], &events, &peer, &peer.qmp);
}

static int tear_down(void **state)
{
	qmp_free(peer.qmp);
	fd_close(peer.fd);
	loop_free(peer.loop);
	return 0;
}

static void run(void)
{
	while (loop_step(peer.loop, clock_deadline(50)) > 0)
		;
}

static void say(const char *text)
{
	assert_int_equal(fd_write_full(peer.fd, text, strlen(text)), 0);
	run();
}

/* What the client wrote since the last time. */
static char *hear(void)
{
	static char text[4096];
	run();
	ssize_t n = recv(peer.fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"

static void greet(void)
{
	say(GREETING);
	assert_non_null(strstr(hear(), "qmp_capabilities"));
	say("{\"return\": {}, \"id\": 1}\r\n");
	assert_int_equal(peer.ready, 1);
}

static void test_commands_wait_for_the_greeting(void **state)
{
	assert_int_equal(qmp_execute(peer.qmp, "query-status", NULL, -1, on_done, NULL), 0);
	assert_string_equal(hear(), "");
	say(GREETING);
	char *text = hear();
	assert_non_null(strstr(text, "qmp_capabilities"));
	assert_null(strstr(text, "query-status"));
	say("{\"return\": {}, \"id\": 2}\r\n");
	assert_non_null(strstr(hear(), "query-status"));
	say("{\"return\": {\"running\": true}, \"id\": 1}\r\n");
	assert_int_equal(peer.answers, 1);
	assert_int_equal(peer.last_code, 0);
}

static void test_answers_and_events(void **state)
{
	greet();
	assert_int_equal(qmp_execute(peer.qmp, "a", NULL, -1, on_done, NULL), 0);
	assert_int_equal(qmp_execute(peer.qmp, "b", NULL, -1, on_done, NULL), 0);
	hear();
	say("{\"event\": \"SHUTDOWN\", \"data\": {\"value\": 7}, \"timestamp\": {}}\r\n{\"error\": {\"class\": "
	    "\"GenericError\", \"desc\": \"no such device\"}, \"id\": 3}\r\n");
	assert_string_equal(peer.event, "SHUTDOWN");
	assert_int_equal(peer.value, 7);
	assert_int_equal(peer.answers, 1);
	assert_int_equal(peer.last_code, -EIO);
	assert_string_equal(peer.why, "no such device");
	/* In pieces; and an answer to nothing. */
	say("{\"return\": {}, \"id\": 99}\r\n{\"retu");
	assert_int_equal(peer.answers, 1);
	say("rn\": {}, \"id\": 2}\r\n");
	assert_int_equal(peer.answers, 2);
	assert_int_equal(peer.last_code, 0);
}

static void test_descriptor_goes_along(void **state)
{
	greet();
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(qmp_execute(peer.qmp, "getfd", NULL, fd, NULL, NULL), 0);
	run();
	char text[512], byte = 1;
	struct fd_pass p;
	assert_true(fd_receive_bytes(peer.fd, text, sizeof text, 1, &p, 0) > 0);
	assert_int_equal(p.count, 1);
	assert_int_equal(read(p.fds[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	fd_pass_close(&p);
}

static void test_end_answers_what_is_pending(void **state)
{
	greet();
	qmp_execute(peer.qmp, "a", NULL, -1, on_done, NULL);
	fd_close(TAKE_FD(peer.fd));
	run();
	assert_int_equal(peer.closed, 1);
	assert_int_equal(peer.close_code, 0);
	assert_int_equal(peer.answers, 1);
	assert_int_equal(peer.last_code, -EPIPE);
	assert_int_equal(qmp_execute(peer.qmp, "b", NULL, -1, on_done, NULL), -EPIPE);
}

static void test_garbage_ends_it(void **state)
{
	greet();
	say("this is no JSON\n");
	assert_int_equal(peer.closed, 1);
	assert_int_equal(peer.close_code, -EPROTO);
}

static void test_second_greeting_ends_it(void **state)
{
	greet();
	say(GREETING);
	assert_int_equal(peer.closed, 1);
}

static void test_endless_line_ends_it(void **state)
{
	AUTOFREE char *part = xmalloc(16 * 1024);
	memset(part, 'x', 16 * 1024);
	greet();
	for (int i = 0; i < 2 * QMP_LINE_MAX / (16 * 1024) && !peer.closed; i++) {
		if (send(peer.fd, part, 16 * 1024, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			break;
		run();
	}
	assert_int_equal(peer.closed, 1);
}

static void test_too_many_commands(void **state)
{
	greet();
	int accepted = 0;
	while (accepted < 2 * QMP_PENDING_MAX && qmp_execute(peer.qmp, "a", NULL, -1, on_done, NULL) == 0)
		accepted++;
	assert_int_equal(accepted, QMP_PENDING_MAX);
	assert_int_equal(qmp_execute(peer.qmp, "a", NULL, -1, on_done, NULL), -ENOBUFS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commands_wait_for_the_greeting),
		TEST(test_answers_and_events),
		TEST(test_descriptor_goes_along),
		TEST(test_end_answers_what_is_pending),
		TEST(test_garbage_ends_it),
		TEST(test_second_greeting_ends_it),
		TEST(test_endless_line_ends_it),
		TEST(test_too_many_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
