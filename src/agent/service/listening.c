/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/listening: the TCP ports that listen in the machine's own network namespace, as a line
 * for each change, as long as the answer is open. Ports that the agent has opened for others (POST
 * /v1/listen) are not among them: they lead out of the machine.
 *
 * Problem. The kernel tells nobody when a socket begins to listen, and has a list of the sockets
 * that do.
 *
 * Idea. Where the platform has events, an event is a hint: it comes before the socket is in the
 * list. The list is read a moment after it, and once more SETTLE_MS later. Else it is read each
 * POLL_MS, and so it is in the first second, in any case: opening the events takes ten
 * milliseconds under emulation, and the first session is in a hurry. A reading takes longer the
 * more sockets there are, and whoever is inside can make many: so the pause grows with its time.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/service/listening_list.h"
#include "agent/service/service.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
	POLL_MS = 250,
	POLL_SHARE = 700, /* a pause is this many times the reading's own time: 0.14 % of a processor */
	HINT_MS = 5,
	SETTLE_MS = 100,
	HINTED_MS = 30,
	HINTED_SHARE = 50,
	PAUSE_MAX_MS = 60 * 1000,
	EVENTS_AFTER_MS = 1000,
	TAKES_MAX = 64, /* of 8 events; processors that always have new ones would keep the loop */
};

struct listening {
	struct agent *agent;
	struct http_exchange *exchange;
	int list, hints; /* hints: -1 where there are none */
	struct source *hint_source, *timer;
	int hinted;         /* since the last reading */
	uint64_t events_ms; /* when the platform's events are to be opened; UINT64_MAX: no more */
	uint64_t next_ms;   /* no reading before that */
	struct listening_set now, told;
};

static void watch_free(struct listening *w)
{
	source_free(w->hint_source);
	source_free(w->timer);
	fd_close(w->hints);
	fd_close(w->list);
	free(w);
}

static void on_closed(void *data)
{
	watch_free(data);
}

static uint64_t processor_us(void)
{
	struct timespec t = { 0 };
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Reads the list into w->now. 0 or -errno. */
static int read_list(struct listening *w)
{
	const uint64_t share = w->hints >= 0 ? HINTED_SHARE : POLL_SHARE, least = w->hints >= 0 ? HINTED_MS : POLL_MS;
	uint64_t before = processor_us();
	int r = listening_read(w->list, &w->now);
	listen_leave_out(w->agent, &w->now);
	uint64_t pause = MIN((processor_us() - before) * share / 1000, (uint64_t)PAUSE_MAX_MS);
	w->next_ms = clock_deadline(MAX(pause, least));
	return r;
}

static void tell(struct listening *w)
{
	struct json_object *line = json_object_new_object();
	json_add(line, "ports", listening_to_json(&w->now));
	w->told = w->now;
	http_stream_json(w->exchange, line);
}

static void on_hint(struct source *s, int fd, uint32_t events, void *data);

static void open_events(struct listening *w)
{
	struct agent *a = w->agent;
	w->events_ms = UINT64_MAX;
	w->hints = a->platform->open_listen_events ? a->platform->open_listen_events() : -1;
	if (w->hints >= 0 && loop_add_io(a->loop, w->hints, EPOLLIN, on_hint, w, &w->hint_source) < 0)
		fd_close(TAKE_FD(w->hints));
	w->hinted = w->hints >= 0; /* something may have begun meanwhile */
}

static void on_timer(struct source *s, void *data)
{
	struct listening *w = data;
	if (clock_now_ms() >= w->events_ms)
		open_events(w);
	if (w->hinted)
		source_set_events(w->hint_source, EPOLLIN);
	int r = read_list(w), again = w->hinted;
	w->hinted = 0;
	source_set_timer(w->timer, w->hints < 0 ? w->next_ms : again ? clock_deadline(SETTLE_MS) : UINT64_MAX);
	if (r < 0)
		log_debug("which ports listen is not known now: %s", strerror(-r));
	else if (memcmp(&w->now, &w->told, sizeof w->now) != 0)
		tell(w); /* w may be gone after it, with its exchange */
}

/* Many events at once are one: nobody looks for more of them until the list was read. */
static void on_hint(struct source *s, int fd, uint32_t events, void *data)
{
	struct listening *w = data;
	struct epoll_event taken[8];
	for (int i = 0; i < TAKES_MAX && epoll_wait(fd, taken, ARRAY_SIZE(taken), 0) == ARRAY_SIZE(taken); i++)
		;
	w->hinted = 1;
	source_set_events(w->hint_source, 0);
	source_set_timer(w->timer, MAX(clock_deadline(HINT_MS), w->next_ms));
}

static int watch(struct listening *w, struct error **err)
{
	struct agent *a = w->agent;
	if (a->phase != PHASE_RUNNING)
		return error_set(err, EAGAIN, "the machine is not running");
	int r = w->list = listening_open();
	if (r >= 0)
		r = read_list(w);
	if (r == -EOPNOTSUPP)
		return error_set(err, EOPNOTSUPP,
		    "this kernel does not list sockets (its modules inet_diag, tcp_diag)");
	if (r >= 0)
		r = loop_add_timer(a->loop, UINT64_MAX, on_timer, w, &w->timer);
	return r < 0 ? error_set_errno(err, r, "the list of ports") : 0;
}

void listening_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	struct listening *w = xnew(struct listening);
	*w = (struct listening){ .agent = agent, .exchange = x, .list = -1, .hints = -1 };
	int r = watch(w, &err);
	if (r < 0) {
		watch_free(w);
		http_respond_error(x, r, err);
		return;
	}
	w->events_ms = clock_deadline(EVENTS_AFTER_MS);
	source_set_timer(w->timer, w->next_ms);
	http_exchange_on_closed(x, on_closed, w);
	http_stream_begin(x, 200);
	tell(w);
}
