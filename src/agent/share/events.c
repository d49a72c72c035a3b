/* SPDX-License-Identifier: Apache-2.0
 * Events of shares: the agent's half. docs/share-events.md has the whole way of an event.
 *
 * Problem. The server of a share must know what somebody inside watches, and somebody inside must
 * make the host's changes again. Most machines watch nothing, and must not pay for either.
 *
 * Idea. For each share of which something is watched there is a stream to the keeper and a
 * replayer (replay.c). Both end when nothing has been watched for IDLE_MS.
 *
 * Steps:
 * 1. watchers.c reports that the watches of a share may have changed.
 * 2. The agent opens the stream and starts the replayer, whose HELLO carries its process id.
 * 3. The agent sends the difference between the watches that the server knows and the present
 *    ones. It computes the next difference only when the last one is written. So the bytes that
 *    wait are bounded, whatever programs inside do.
 * 4. The server's events go to the replayer as they come, its DONE goes back.
 *
 * Failures. After a RESET of the server, or on a new stream, the agent sends HELLO and all watches
 * again. If the replayer is stuck and takes no more events, the agent answers them with EBUSY. Any
 * error ends stream and replayer; RETRY_MS later both begin again. */
#include "agent/share/events.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/core/mounts.h"
#include "agent/core/upcall.h"
#include "agent/core/worker.h"
#include "agent/share/replay.h"
#include "agent/share/watchers.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/share_events.h"

enum {
	BEGIN_MS = 1000, /* after the machine is ready: the first session is in a hurry */
	RETRY_MS = 5000,
	IDLE_MS = 10 * 1000, /* without a watch */
	IN_MAX = 64 * 1024,
	OUT_MAX = 1024 * 1024, /* all watches gone and others come, 8192 each, and some answers */
};

struct share_stream {
	struct share_stream *next;
	struct share_events *owner;
	char *tag;
	uint32_t device;
	struct watch_list sent;
	struct upcall *call;
	int stream, replayer; /* -1: none */
	struct source *stream_source, *replayer_source, *timer;
	struct buffer in, out;                             /* of the stream */
	uint32_t pid;                                      /* the replayer's; 0: it is not ready */
	enum { TIMER_OFF, TIMER_IDLE, TIMER_RETRY } waits; /* the timer's purpose */
};

struct share_events {
	struct agent *agent;
	struct watchers *watchers;
	struct share_stream *streams;
	struct source *begin;
};

static void update(struct share_stream *s);

/* ---- ends ---- */

static void disconnect(struct share_stream *s)
{
	upcall_cancel(TAKE_PTR(s->call));
	source_free(TAKE_PTR(s->stream_source));
	source_free(TAKE_PTR(s->replayer_source));
	fd_close(TAKE_FD(s->stream));
	fd_close(TAKE_FD(s->replayer)); /* upon which it ends */
	buffer_done(&s->in);
	buffer_done(&s->out);
	watch_list_done(&s->sent);
	s->pid = 0;
	s->waits = TIMER_OFF;
}

static void fail(struct share_stream *s)
{
	disconnect(s);
	s->waits = TIMER_RETRY;
	source_set_timer(s->timer, clock_deadline(RETRY_MS));
}

static void stream_free(struct share_stream *s)
{
	disconnect(s);
	source_free(s->timer);
	free(s->tag);
	free(s);
}

/* ---- watches ---- */

static void append_watch(const struct watch *w, void *data)
{
	struct share_stream *s = data;
	const struct share_watch payload = {
		.type = w->mask ? SHARE_WATCH : SHARE_UNWATCH,
		.mask = w->mask,
		.node = w->node,
	};
	share_frame_append(&s->out, &payload, sizeof payload);
}

static void say_hello(struct share_stream *s)
{
	const struct share_hello hello = { .type = SHARE_HELLO, .version = SHARE_EVENTS_VERSION, .pid = s->pid };
	watch_list_done(&s->sent);
	share_frame_append(&s->out, &hello, sizeof hello);
}

static void tell_watches(struct share_stream *s)
{
	AUTO_WATCH_LIST struct watch_list wanted = { 0 };
	watchers_collect(s->owner->watchers, s->device, &wanted);
	watch_list_compare(&s->sent, &wanted, append_watch, s);
	struct watch_list before = s->sent;
	s->sent = wanted;
	wanted = before;
}

/* ---- the replayer ---- */

static void on_replayer_done(int code, const char *text, void *data)
{
	struct share_replayer *replayer = data;
	if (code < 0)
		log_warning("events of a share: %s", text);
	free((char *)replayer->path);
	free((char *)replayer->tag);
	free(replayer);
}

static void on_replayer(struct source *source, int fd, uint32_t events, void *data)
{
	struct share_stream *s = data;
	union {
		struct share_hello hello;
		struct share_done done;
	} answer;
	ssize_t n = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof answer.hello && answer.hello.type == SHARE_HELLO && answer.hello.pid) {
		s->pid = answer.hello.pid;
		say_hello(s);
	} else if (n == sizeof answer.done && answer.done.type == SHARE_DONE) {
		if (answer.done.result < 0)
			log_debug("an event of a share could not be told inside: %s", strerror(-answer.done.result));
		share_frame_append(&s->out, &answer.done, sizeof answer.done);
	} else {
		fail(s);
		return;
	}
	update(s);
}

static int start_replayer(struct share_stream *s)
{
	static const struct worker_events events = { .done = on_replayer_done };
	struct loop *l = s->owner->agent->loop;
	int ends[2];
	int r = fd_socketpair(SOCK_SEQPACKET, ends);
	if (r < 0)
		return r;
	struct share_replayer *replayer = xnew(struct share_replayer);
	*replayer = (struct share_replayer){
		.path = path_join(AGENT_SHARES, s->tag),
		.tag = xstrdup(s->tag),
		.socket = ends[1],
	};
	r = worker_start(l, share_replay_run, replayer, &ends[1], 1, &events, replayer, NULL);
	fd_close(ends[1]);
	if (r < 0)
		on_replayer_done(0, NULL, replayer);
	if (r >= 0)
		r = loop_add_io(l, ends[0], EPOLLIN, on_replayer, s, &s->replayer_source);
	if (r < 0)
		fd_close(ends[0]);
	else
		s->replayer = ends[0];
	return r;
}

/* To the replayer, or, while it is stuck and too much waits for it, an answer in its place. */
static void hand_over(struct share_stream *s, const void *payload, size_t size)
{
	struct share_event event;
	if (s->replayer < 0 || send(s->replayer, payload, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
	    size < sizeof event)
		return;
	memcpy(&event, payload, sizeof event);
	const struct share_done busy = { .type = SHARE_DONE, .result = -EBUSY, .token = event.token };
	share_frame_append(&s->out, &busy, sizeof busy);
}

/* ---- the stream ---- */

/* 0, or -errno: the connection is of no use any more. */
static int handle_frames(struct share_stream *s)
{
	const void *payload;
	ssize_t size;
	while ((size = share_frame_next(&s->in, &payload)) > 0) {
		uint8_t type = *(const uint8_t *)payload;
		if (type == SHARE_EVENT)
			hand_over(s, payload, (size_t)size);
		else if (type == SHARE_RESET && size == sizeof(struct share_reset) && s->pid)
			say_hello(s);
		share_frame_drop(&s->in, (size_t)size);
		/* A server that does not wait for answers does not get all of the memory. */
		if (s->out.size > OUT_MAX / 2)
			return -ENOBUFS;
	}
	return (int)size;
}

static int read_stream(struct share_stream *s)
{
	ssize_t n = buffer_read(&s->in, s->stream, SHARE_PAYLOAD_MAX);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	return n <= 0 ? -EPIPE : handle_frames(s);
}

static void on_stream(struct source *source, int fd, uint32_t events, void *data)
{
	struct share_stream *s = data;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && read_stream(s) < 0)
		fail(s);
	else
		update(s);
}

static void on_opened(int fd, struct buffer *early, void *data)
{
	struct share_stream *s = data;
	s->call = NULL;
	if (fd < 0 || loop_add_io(s->owner->agent->loop, fd, EPOLLIN, on_stream, s, &s->stream_source) < 0) {
		fd_close(fd);
		fail(s);
		return;
	}
	s->stream = fd;
	if (buffer_append(&s->in, early->data, early->size) < 0 || handle_frames(s) < 0 || start_replayer(s) < 0)
		fail(s);
}

/* Connects, if there are watches and no connection. */
static void connect_stream(struct share_stream *s)
{
	AUTO_WATCH_LIST struct watch_list wanted = { 0 };
	AUTOFREE char *target = xasprintf("/v1/share-events?tag=%s", s->tag);
	watchers_collect(s->owner->watchers, s->device, &wanted);
	if (s->stream < 0 && !s->call && wanted.count)
		upcall_start(s->owner->agent, target, on_opened, s, &s->call);
}

/* Writes what waits; 0, or -errno. */
static int write_stream(struct share_stream *s)
{
	while (s->out.size) {
		ssize_t n = buffer_write(&s->out, s->stream);
		if (n == -EAGAIN)
			return 0;
		if (n < 0 && n != -EINTR)
			return (int)n;
	}
	return 0;
}

static void set_idle(struct share_stream *s, int idle)
{
	if (s->waits == (idle ? TIMER_IDLE : TIMER_OFF))
		return;
	s->waits = idle ? TIMER_IDLE : TIMER_OFF;
	source_set_timer(s->timer, idle ? clock_deadline(IDLE_MS) : UINT64_MAX);
}

/* The server is told the next changes when it has the last. */
static void update(struct share_stream *s)
{
	int r = write_stream(s);
	if (r >= 0 && s->out.size == 0 && s->pid) {
		tell_watches(s);
		r = write_stream(s);
	}
	if (r < 0) {
		fail(s);
		return;
	}
	source_set_events(s->stream_source, EPOLLIN | (s->out.size ? EPOLLOUT : 0));
	if (s->pid)
		set_idle(s, s->sent.count == 0);
}

static void on_timer(struct source *source, void *data)
{
	struct share_stream *s = data;
	disconnect(s);
	connect_stream(s);
}

/* ---- all of them ---- */

static void on_changed(void *data)
{
	struct share_events *e = data;
	for (struct share_stream *s = e->streams; s; s = s->next) {
		if (s->stream >= 0)
			update(s);
		else if (s->waits != TIMER_RETRY)
			connect_stream(s);
	}
}

static void on_begin(struct source *source, void *data)
{
	struct share_events *e = data;
	source_free(TAKE_PTR(e->begin));
	int r = watchers_new(e->agent->loop, on_changed, e, &e->watchers);
	if (r < 0) {
		log_warning("changes that the host makes in shares are not told inside: %s", strerror(-r));
		return;
	}
	for (struct share_stream *s = e->streams; s; s = s->next)
		watchers_add_device(e->watchers, s->device);
}

static struct share_events *get(struct agent *a)
{
	if (a->share_events)
		return a->share_events;
	struct share_events *e = xnew(struct share_events);
	e->agent = a;
	if (loop_add_timer(a->loop, clock_deadline(BEGIN_MS), on_begin, e, &e->begin) < 0) {
		free(e);
		return NULL;
	}
	a->share_events = e;
	return e;
}

void share_events_add(struct agent *a, const struct boot_share *share)
{
	uint32_t device = share->events ? mounts_share_device(share->tag) : 0;
	struct share_events *e = device ? get(a) : NULL;
	if (!e)
		return;
	struct share_stream *s = xnew(struct share_stream);
	*s = (struct share_stream){
		.owner = e,
		.next = e->streams,
		.tag = xstrdup(share->tag),
		.device = device,
		.stream = -1,
		.replayer = -1,
	};
	buffer_init(&s->in, IN_MAX);
	buffer_init(&s->out, OUT_MAX);
	if (loop_add_timer(a->loop, UINT64_MAX, on_timer, s, &s->timer) < 0) {
		stream_free(s);
		return;
	}
	e->streams = s;
	if (e->watchers)
		watchers_add_device(e->watchers, device);
}

void share_events_remove(struct agent *a, const char *tag)
{
	for (struct share_stream **at = a->share_events ? &a->share_events->streams : NULL; at && *at;
	     at = &(*at)->next) {
		struct share_stream *s = *at;
		if (!streq(s->tag, tag))
			continue;
		*at = s->next;
		if (s->owner->watchers)
			watchers_remove_device(s->owner->watchers, s->device);
		stream_free(s);
		return;
	}
}

void share_events_start(struct agent *a)
{
	if (a->share_events || !a->boot)
		return;
	for (size_t i = 0; i < a->boot->share_count; i++)
		share_events_add(a, &a->boot->shares[i]);
}
