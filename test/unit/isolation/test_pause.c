/* SPDX-License-Identifier: Apache-2.0
 * A write that fails on the host stops the guest, which goes on by itself: QEMU's monitor is played
 * here. And the room that a quota leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "isolation/vm/room.h"
#include "isolation/vm/run.h"

enum { WAIT_MS = 20 * 1000 };

#define ERROR_EVENT(members) "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"operation\": \"write\", " members "}}\r\n"
#define QUOTA ERROR_EVENT("\"action\": \"stop\", \"nospace\": false, \"reason\": \"Disk quota exceeded\"")
#define BROKEN ERROR_EVENT("\"action\": \"stop\", \"nospace\": false, \"reason\": \"Input/output error\"")
#define FULL ERROR_EVENT("\"action\": \"stop\", \"nospace\": true, \"reason\": \"No space left on device\"")
#define RESUME "{\"event\": \"RESUME\"}\r\n"

struct world {
	struct isolation_run run;
	struct machine machine;
	int monitor;
	struct buffer in;
	int tries;
	struct strv heard; /* the reasons; "" when the guest goes on */
	int warnings;
};

static void on_paused(const char *why, void *data)
{
	struct world *w = data;
	strv_add(&w->heard, why ? why : "");
}

static void on_warning(const char *text, void *data)
{
	struct world *w = data;
	w->warnings++;
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(fd_write_full(w->monitor, text, strlen(text)), 0);
}

static void on_command(struct world *w, const char *line, size_t size)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *command = NULL;
	int64_t id = 0;
	assert_int_equal(json_parse_bytes(line, size, "command", &o, NULL), 0);
	assert_int_equal(json_get_string(o, "execute", &command, NULL), 0);
	assert_int_equal(json_get_i64(o, "id", &id, NULL), 0);
	AUTOFREE char *answer = xasprintf("{\"return\":{},\"id\":%d}\r\n", (int)id);
	w->tries += streq(command, "cont");
	say(w, answer);
}

/* Plays QEMU until this many tries to go on were made and this much was heard. */
static void play(struct world *w, int tries, size_t heard)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	while ((w->tries < tries || w->heard.count < heard) && clock_now_ms() < deadline) {
		loop_step(w->run.loop, clock_deadline(10));
		while (buffer_read(&w->in, w->monitor, 4096) > 0)
			;
		for (const char *end; (end = w->in.size ? memchr(w->in.data, '\n', w->in.size) : NULL);) {
			size_t size = (size_t)(end - w->in.data);
			on_command(w, w->in.data, size);
			buffer_consume(&w->in, size + 1);
		}
	}
	assert_int_equal(w->tries, tries);
	assert_int_equal(w->heard.count, heard);
}

static int set_up(void **state)
{
	int pair[2];
	struct world *w = xnew(struct world);
	struct isolation_run *run = &w->run;
	assert_int_equal(loop_new(&run->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	w->monitor = pair[1];
	fd_set_nonblocking(w->monitor, 1);
	buffer_init(&w->in, 1 << 20);
	w->machine.name = xstrdup("box");
	run->machine = &w->machine;
	run->data = w;
	run->events = (struct isolation_events){ .paused = on_paused, .warning = on_warning };
	assert_int_equal(qmp_new(run->loop, pair[0],
			     &(struct qmp_events){ .event = run_qmp_events.event, .closed = run_qmp_events.closed },
			     run, &run->qmp),
	    0);
	say(w, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	pause_done(&w->run);
	qmp_free(w->run.qmp);
	fd_close(w->monitor);
	loop_free(w->run.loop);
	buffer_done(&w->in);
	strv_done(&w->heard);
	free(w->machine.name);
	free(w);
	return 0;
}

static void test_a_quota_pauses_until_a_write_works(void **state)
{
	struct world *w = *state;
	say(w, QUOTA);
	play(w, 1, 1);
	assert_non_null(strstr(w->heard.items[0], "your disk quota on the host is used up in "));
	/* Nobody hears of a try that fails at once. */
	say(w, RESUME);
	say(w, QUOTA);
	play(w, 2, 1);
	say(w, RESUME);
	play(w, 2, 2);
	assert_string_equal(w->heard.items[1], "");
	assert_int_equal(w->warnings, 0);
}

static void test_another_error_pauses_with_its_reason(void **state)
{
	struct world *w = *state;
	say(w, BROKEN);
	play(w, 1, 1);
	assert_non_null(strstr(w->heard.items[0], "cannot write the machine's disk in "));
	assert_non_null(strstr(w->heard.items[0], ": Input/output error; it goes on when a write works"));
	/* Now the reason is another one. */
	say(w, RESUME);
	say(w, FULL);
	play(w, 2, 2);
	assert_non_null(strstr(w->heard.items[1], "the host has no space left in "));
	say(w, RESUME);
	play(w, 2, 3);
}

static void test_a_reported_error_is_a_warning(void **state)
{
	struct world *w = *state;
	say(w, ERROR_EVENT("\"action\": \"report\", \"nospace\": false, \"reason\": \"Input/output error\""));
	say(w, FULL);
	play(w, 0, 1);
	assert_int_equal(w->warnings, 1);
}

static void test_room_of_a_quota(void **state)
{
	const uint64_t now = 1000, mebi = 1 << 20;
	struct if_dqblk quota = { .dqb_curspace = 3 * mebi };
	assert_int_equal(room_of_quota(&quota, now), UINT64_MAX);
	quota.dqb_bhardlimit = 10 * mebi / 1024;
	assert_int_equal(room_of_quota(&quota, now), 7 * mebi);
	quota.dqb_bsoftlimit = 2 * mebi / 1024;
	assert_int_equal(room_of_quota(&quota, now), 7 * mebi);
	quota.dqb_btime = now + 1;
	assert_int_equal(room_of_quota(&quota, now), 7 * mebi);
	quota.dqb_btime = now;
	assert_int_equal(room_of_quota(&quota, now), 0);
	quota.dqb_bsoftlimit = 4 * mebi / 1024;
	assert_int_equal(room_of_quota(&quota, now), mebi);
	quota.dqb_curspace = 11 * mebi;
	assert_int_equal(room_of_quota(&quota, now), 0);
	assert_true(room_left("/") > 0);
	assert_true(room_left("/nothing/here") == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_quota_pauses_until_a_write_works, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_error_pauses_with_its_reason, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_reported_error_is_a_warning, set_up, tear_down),
		cmocka_unit_test(test_room_of_a_quota),
	};
	return cmocka_run_group_tests_name("a guest that stands still", tests, NULL, NULL);
}
