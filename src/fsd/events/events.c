/* SPDX-License-Identifier: Apache-2.0
 * Events: the connection to the agent, and its pace.
 *
 * Problem. A program inside watches a file, and somebody on the host changes it. The guest's kernel
 * raises inotify only for what happens in its own VFS.
 *
 * Idea. A process inside, the replayer, makes the change once more. The guest's VFS raises the
 * event, and the server answers the operation without touching the host (replay.c).
 * docs/share-events.md has the whole way and the messages.
 *
 * Steps:
 * 1. The agent sends HELLO with the replayer's process id, then WATCH and UNWATCH (watch.c).
 * 2. A change of the host becomes an event in the queue (queue.c), which merges repeated ones.
 * 3. The loop arms the oldest event: it looks at the host once more (replay_prepare()) and sends
 *    the event with a random token. One event is armed at a time, for EVENT_TIMEOUT_MS at most.
 * 4. The replayer makes the change; the matching request is answered. DONE with the token disarms
 *    it.
 *
 * Requests reach this code by struct share_observer, while a replayer exists; without one a request
 * costs one branch. Requests send nothing themselves: events_wake() makes the loop's timer run,
 * which does what is due. The same state of the same file is reported every EVENT_REPEAT_MS at
 * most.
 *
 * Failures. If the guest changed the same name first, the replay finds nothing to do, and
 * report_instead() reports at least a change of attributes. If the queue is full, events are
 * dropped, with one line in the debug log. If the stream or the replayer ends, the keeper says
 * HELLO with process id 0, and the server forgets everything. The replayer's process id lies in
 * shared memory (struct share_state), so that the next worker refuses its changes even before a
 * HELLO. The id of the previous replayer stays refused for a while (replayer.c), because a request
 * of it may still be under way. INIT, a guest that starts over, clears both. */
#include "fsd/events/events.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "fsd/events/echo.h"
#include "fsd/events/replay.h"
#include "fsd/events/replayer.h"

enum { PAYLOADS_PER_TURN = 64 };

static void disarm(struct events *e)
{
	free(e->armed.event);
	e->armed = (struct armed){ 0 };
}

/* Forgets the state of a connection. */
static void forget(struct events *e)
{
	disarm(e);
	event_queue_clear(&e->queue);
	source_free(e->watch_source);
	e->watch_source = NULL;
	watch_table_clear(&e->watches);
}

/* Observes requests only while a replayer exists: without one there are no watches. */
static void observe(struct events *e)
{
	e->share->observer = replayer_exists(e->share->state) ? &e->observer : NULL;
}

static void set_replayer(struct events *e, uint32_t pid)
{
	replayer_set(e->share->state, pid, e->owed != 0);
	observe(e);
}

/* Ends the connection: the other side has closed it. */
static void end(struct events *e)
{
	forget(e);
	set_replayer(e, 0);
	e->owed = 0;
	source_free(e->socket_source);
	e->socket_source = NULL;
}

void events_add(struct events *e, struct event *event)
{
	if (event_queue_add(&e->queue, event) < 0 && !e->said_full) {
		log_debug("share events: the queue is full; further changes of the host are not reported");
		e->said_full = 1;
	}
	events_wake(e);
}

static int is_pending(uint64_t node, const char *name, const void *data)
{
	const struct events *e = data;
	const struct event *armed = e->armed.event;
	const struct watch_moved *moved = &e->watches.moved;
	return (armed && event_is_about(armed, node, name)) || event_queue_has(&e->queue, node, name) ||
	       (moved->cookie && moved->node == node && streq(moved->name, name));
}

static void on_happened(struct event *event, void *data)
{
	events_add(data, event);
}

/* Sends a payload. 1, 0 when it has to wait, -errno when the other side has closed. */
static int send_payload(struct events *e, const void *payload, size_t size)
{
	if (e->blocked || !e->socket_source)
		return 0;
	if (send(e->socket, payload, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	if (errno != EAGAIN && errno != EINTR) {
		end(e);
		return -EPIPE;
	}
	e->blocked = 1;
	(void)source_set_events(e->socket_source, EPOLLIN | EPOLLOUT);
	return 0;
}

/* --- the next event --- */

/* The slot that remembers when this state of this file was last reported, and its hash; NULL for
 * events without a limit of rate. */
static uint64_t *past_of(struct events *e, const struct event *event, uint64_t *ret_what)
{
	if (event->operation < SHARE_MODIFY)
		return NULL;
	uint64_t h = (event->node + event->operation) * 0x9e3779b97f4a7c15ULL;
	for (const char *c = event->name; *c; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001b3ULL;
	size_t n = (h >> 32) % EVENT_PAST;
	*ret_what = h;
	if (e->past[n].what != h)
		e->past[n].at_ms = 0;
	e->past[n].what = h;
	return &e->past[n].at_ms;
}

/* Sends an event. As send_payload(). */
static int send_event(struct events *e, const struct event *event, struct armed *a)
{
	struct {
		struct share_event head;
		char names[2 * SHARE_NAME_MAX];
	} p = { {
	    .type = SHARE_EVENT,
	    .operation = (uint8_t)event->operation,
	    .node = event->node,
	    .node2 = event->node2,
	} };
	p.head.mode = a->type;
	p.head.token = a->token;
	p.head.size = (uint16_t)strlen(event->name);
	p.head.size2 = event->name2 ? (uint16_t)strlen(event->name2) : 0;
	memcpy(p.names, event->name, p.head.size);
	if (event->name2)
		memcpy(p.names + p.head.size, event->name2, p.head.size2);
	a->type &= S_IFMT;
	return send_payload(e, &p, offsetof(__typeof__(p), names) + p.head.size + p.head.size2);
}

/* Arms the next event, if it is due. 1 when another may follow at once, else 0. Lowers *ret_at to
 * the time at which the next is due. */
static int next(struct events *e, uint64_t now, uint64_t *ret_at)
{
	struct event *event = e->queue.first;
	struct armed a = { 0 };
	uint64_t what, *past;
	if (e->armed.event || e->blocked || !event)
		return 0;
	past = past_of(e, event, &what);
	if (past && *past && now < *past + EVENT_REPEAT_MS) {
		*ret_at = MIN(*ret_at, *past + EVENT_REPEAT_MS);
		return 0;
	}
	event = event_queue_take(&e->queue);
	if (!replay_prepare(e, event, &a)) {
		free(event);
		return 1;
	}
	if (getrandom(&a.token, sizeof a.token, GRND_NONBLOCK) != sizeof a.token || a.token == 0) {
		free(event);
		return 1;
	}
	int r = send_event(e, event, &a);
	if (r == 0)
		event_queue_put_back(&e->queue, event);
	else if (r < 0)
		free(event);
	if (r <= 0)
		return 0;
	if (past)
		*past = now;
	a.event = event;
	a.until_ms = now + EVENT_TIMEOUT_MS;
	e->armed = a;
	e->owed = a.token;
	return 0;
}

/* Does what is due, and sets the timer for the rest. */
static void run_due(struct events *e)
{
	static const struct share_reset reset = { .type = SHARE_RESET };
	uint64_t now = clock_now_ms(), at = UINT64_MAX;
	if (e->resetting && send_payload(e, &reset, sizeof reset) != 0)
		e->resetting = 0;
	if (watch_deadline(&e->watches) <= now) {
		watch_read(&e->watches);
		if (watch_deadline(&e->watches) <= now)
			watch_expire(&e->watches);
	}
	if (e->armed.event && e->armed.until_ms <= now)
		disarm(e);
	while (next(e, now, &at))
		;
	inode_table_trim(&e->share->inodes);
	at = MIN(at, watch_deadline(&e->watches));
	if (e->armed.event)
		at = MIN(at, e->armed.until_ms);
	(void)source_set_timer(e->timer, at);
}

static void on_timer(struct source *source, void *data)
{
	run_due(data);
}

void events_wake(struct events *e)
{
	(void)source_set_timer(e->timer, 0);
}

static void on_watch(struct source *source, int fd, uint32_t events, void *data)
{
	struct events *e = data;
	watch_read(&e->watches);
	run_due(e);
}

/* --- payloads of the agent --- */

static void on_hello(struct events *e, const void *payload)
{
	struct share_hello hello;
	memcpy(&hello, payload, sizeof hello);
	forget(e);
	uint32_t pid = hello.version == SHARE_EVENTS_VERSION ? hello.pid : 0, before = e->share->state->replayer;
	set_replayer(e, pid);
	if (pid != before)
		e->owed = 0;
}

static void on_watch_request(struct events *e, const void *payload)
{
	struct share_watch request;
	memcpy(&request, payload, sizeof request);
	if (e->share->state->replayer == 0)
		return;
	watch_set(&e->watches, request.node, request.type == SHARE_WATCH ? request.mask : 0);
	if (e->watches.inotify >= 0 && !e->watch_source)
		(void)loop_add_io(e->loop, e->watches.inotify, EPOLLIN, on_watch, e, &e->watch_source);
}

static void add_state(struct events *e, enum share_operation operation, uint64_t node, const char *name)
{
	struct event *event = event_new(operation, node, name, 0, NULL);
	events_add(e, event);
}

/* A process inside changed the name first, so the replayer had nothing to do. Reports a change of
 * attributes instead, which at least wakes the watcher. */
static void report_instead(struct events *e, const struct event *event, int result)
{
	if (event->operation == SHARE_CREATE && result == -EEXIST)
		add_state(e, SHARE_ATTRIB, event->node, event->name);
	if (event->operation == SHARE_RENAME && result == 0) { /* both names are the same file inside */
		struct event *removal = event_new(SHARE_REMOVE, event->node, event->name, 0, NULL);
		removal->directory = event->directory;
		events_add(e, removal);
		add_state(e, SHARE_ATTRIB, event->node2, event->name2);
	}
}

static void on_done(struct events *e, const void *payload)
{
	struct share_done done;
	memcpy(&done, payload, sizeof done);
	if (done.token == e->owed && done.result != -EBUSY) /* -EBUSY: the replayer is stuck and may still act */
		e->owed = 0;
	struct armed a = e->armed;
	if (!a.event || a.token != done.token)
		return;
	e->armed = (struct armed){ 0 };
	if (!a.used)
		report_instead(e, a.event, done.result);
	free(a.event);
	events_wake(e);
}

void events_receive(struct events *e, const void *payload, size_t size)
{
	static const struct {
		size_t size;
		void (*handle)(struct events *e, const void *payload);
	} kinds[] = {
		[SHARE_HELLO] = { sizeof(struct share_hello), on_hello },
		[SHARE_WATCH] = { sizeof(struct share_watch), on_watch_request },
		[SHARE_UNWATCH] = { sizeof(struct share_watch), on_watch_request },
		[SHARE_DONE] = { sizeof(struct share_done), on_done },
	};
	unsigned kind = size > 0 ? *(const uint8_t *)payload : 0;
	if (kind < ARRAY_SIZE(kinds) && kinds[kind].handle && kinds[kind].size == size)
		kinds[kind].handle(e, payload);
}

static void on_socket(struct source *source, int fd, uint32_t events, void *data)
{
	struct events *e = data;
	char payload[SHARE_PAYLOAD_MAX];
	if (events & EPOLLOUT) {
		e->blocked = 0;
		(void)source_set_events(source, EPOLLIN);
	}
	for (int n = 0; n < PAYLOADS_PER_TURN && e->socket_source; n++) {
		ssize_t size = recv(fd, payload, sizeof payload, MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (size <= 0)
			end(e);
		else if (size <= (ssize_t)sizeof payload)
			events_receive(e, payload, (size_t)size);
	}
	run_due(e);
}

/* --- the observer --- */

static int is_replayer(const struct request *q, void *data)
{
	struct events *e = data;
	int found = replayer_is(e->share->state, q->header.pid, q->header.uid);
	observe(e); /* replayer_is() may have forgotten the last one */
	return found;
}

static int replay(struct request *q, int (*handle)(struct request *q), int mutates, void *data)
{
	return replay_serve(data, q, handle, mutates);
}

static int serve(struct request *q, int (*handle)(struct request *q), void *data)
{
	return echo_serve(data, q, handle);
}

static void on_job_has_run(void *data)
{
	struct events *e = data;
	watch_read(&e->watches);
	events_wake(e);
}

/* The guest starts over: ends all watches, and sends the agent a RESET. */
static void reset(void *data)
{
	struct events *e = data;
	replayer_forget(e->share->state);
	observe(e);
	forget(e);
	e->resetting = 1;
	events_wake(e);
}

static const struct share_observer observer = {
	.is_replayer = is_replayer,
	.replay = replay,
	.serve = serve,
	.job_has_run = on_job_has_run,
	.is_pending = is_pending,
	.reset = reset,
};

int events_new(struct loop *l, struct share *s, int socket, struct events **ret)
{
	struct events *e = xnew(struct events);
	*e = (struct events){ .loop = l, .share = s, .socket = socket, .resetting = 1, .owed = s->state->replayer };
	e->observer = observer;
	e->observer.data = e;
	watch_table_init(&e->watches, s, on_happened, is_pending, e);
	int r = loop_add_timer(l, 0, on_timer, e, &e->timer);
	if (r == 0)
		r = loop_add_io(l, socket, EPOLLIN, on_socket, e, &e->socket_source);
	if (r < 0) {
		events_free(e);
		return r;
	}
	observe(e);
	*ret = e;
	return 0;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	forget(e);
	watch_table_done(&e->watches);
	source_free(e->socket_source);
	source_free(e->timer);
	e->share->observer = NULL;
	free(e);
}
