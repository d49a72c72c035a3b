/* SPDX-License-Identifier: Apache-2.0
 * A share leaves a virtual machine that runs: QEMU's monitor is played here; QEMU itself and the
 * share's server are processes that only wait. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "isolation/vm/run.h"

enum { WAIT_MS = 60 * 1000 };

struct world {
	struct isolation_run run;
	int monitor;
	int answers, code;
};

static void on_done(int code, const char *why, void *data)
{
	struct world *w = data;
	w->answers++;
	w->code = code;
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(fd_write_full(w->monitor, text, strlen(text)), 0);
}

/* Steps until the client says something with this word in it; its id. */
static int hear(struct world *w, const char *word)
{
	char text[4096];
	for (uint64_t deadline = clock_deadline(WAIT_MS); clock_now_ms() < deadline;) {
		loop_step(w->run.loop, clock_deadline(10));
		ssize_t n = recv(w->monitor, text, sizeof text - 1, MSG_DONTWAIT);
		text[n > 0 ? n : 0] = '\0';
		const char *id = strstr(text, "\"id\":");
		/* The last one: the first may be an argument. */
		for (const char *next = id; next; next = strstr(next + 1, "\"id\":"))
			id = next;
		if (strstr(text, word) && id)
			return (int)strtol(id + strlen("\"id\":"), NULL, 10);
	}
	fail_msg("no %s", word);
	return -1;
}

static void answer(struct world *w, int id)
{
	char text[64];
	snprintf(text, sizeof text, "{\"return\": {}, \"id\": %d}\r\n", id);
	say(w, text);
}

static void end_server(struct world *w)
{
	struct vm_share *s = w->run.shares;
	assert_int_equal(kill(s->server->pid, SIGTERM), 0);
	for (uint64_t deadline = clock_deadline(WAIT_MS); s->server && clock_now_ms() < deadline;)
		loop_step(w->run.loop, clock_deadline(10));
	assert_null(s->server);
}

static void on_ended(int code, const char *why, void *data)
{
}

static int set_up(void **state)
{
	static char *const waits[] = { "/bin/sleep", "1000", NULL };
	static const struct isolation_share share = { .tag = "share1", .host = "/tmp", .events = -1 };
	int pair[2];
	struct world *w = xnew(struct world);
	struct isolation_run *run = &w->run;
	struct vm_child *qemu;
	assert_int_equal(loop_new(&run->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	w->monitor = pair[1];
	run->data = w;
	run->events.ended = on_ended;
	run->end = (struct run_end){ .loop = run->loop, .events = &run->events, .data = w };
	run->slots = 2;
	assert_int_equal(qmp_new(run->loop, pair[0],
			     &(struct qmp_events){ .event = run_qmp_events.event, .closed = run_qmp_events.closed },
			     run, &run->qmp),
	    0);
	struct vm_share *s = share_new(run, &share, share_slot_take(run));
	assert_int_equal(child_start(run, waits, NULL, -1, SIGKILL, xstrdup("the share server of /tmp"), &s->server,
			     NULL),
	    0);
	assert_int_equal(child_start(run, waits, NULL, -1, SIGKILL, xstrdup("QEMU"), &qemu, NULL), 0);
	qemu->is_qemu = 1;
	say(w, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
	answer(w, hear(w, "qmp_capabilities"));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct isolation_run *run = &w->run;
	run_end_silence(&run->end);
	children_kill(run, SIGKILL);
	while (run->children)
		child_reap(run->children);
	qmp_free(run->qmp);
	shares_done(run);
	source_free(run->kill_timer);
	run_end_done(&run->end);
	fd_close(w->monitor);
	loop_free(run->loop);
	free(w);
	return 0;
}

/* QEMU ends the connection, and with it the server, before it answers. */
static void test_a_server_that_ends_before_the_answer(void **state)
{
	struct world *w = *state;
	struct isolation_run *run = &w->run;
	assert_int_equal(vm_remove_share(run, "share1", on_done, w, NULL), 0);
	answer(w, hear(w, "device_del"));
	say(w, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"device-share1\"}}\r\n");
	int id = hear(w, "chardev-remove");
	end_server(w);
	assert_false(run->end.begun);
	assert_int_equal(w->answers, 0);
	answer(w, id);
	while (w->answers == 0 && loop_step(run->loop, clock_deadline(WAIT_MS)) > 0)
		;
	assert_int_equal(w->answers, 1);
	assert_int_equal(w->code, 0);
	assert_null(run->shares);
	assert_int_equal(run->slots_used, 0);
	assert_false(run->end.begun);
}

/* While the guest has the device a server that ends takes the machine along. */
static void test_a_server_that_ends_before_the_guest_lets_go(void **state)
{
	struct world *w = *state;
	struct isolation_run *run = &w->run;
	assert_int_equal(vm_remove_share(run, "share1", on_done, w, NULL), 0);
	answer(w, hear(w, "device_del"));
	end_server(w);
	assert_true(run->end.begun);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_a_server_that_ends_before_the_answer,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_server_that_ends_before_the_guest_lets_go, set_up, tear_down) };
	return cmocka_run_group_tests_name("vm shares", tests, NULL, NULL);
}
