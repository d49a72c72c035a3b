/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /logs, and what attach with logs=1 shows first. The answer ends with its
 * connection. A reader that follows is woken by inotify, so it needs nothing of the container but
 * its folder. An attach takes the connection over once the reader has read all: what comes after
 * that goes to the attached client, so it misses nothing and sees nothing twice. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/engine/events.h"
#include "agent/engine/hijack.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "docker/filters.h"

enum { OUT_FULL = 256 * 1024, OUT_MAX = OUT_FULL + 2 * DOCKER_LOG_TEXT_MAX };

struct reading {
	struct loop *loop;
	struct engine *engine;
	char *id;
	struct docker_log_reader reader;
	int directory, fd, watch;
	struct source *client, *changes;
	struct buffer out;
	int follow, streams[3], timestamps, details, raw;
	int64_t since, until;         /* ns */
	int attaches, is_held;        /* is_held: until the client has read the head of the answer */
	uint32_t events;              /* that are watched */
	struct stdio_client attached; /* without its descriptor */
	struct buffer early;          /* its stdin that came already */
};

static void reading_free(struct reading *r)
{
	source_free(r->client);
	source_free(r->changes);
	docker_log_read_done(&r->reader);
	buffer_done(&r->out);
	buffer_done(&r->early);
	fd_close(r->directory);
	if (r->fd >= 0) /* children of the engine may have it, too */
		shutdown(r->fd, SHUT_RDWR);
	fd_close(r->fd);
	fd_close(r->watch);
	free(r->id);
	free(r);
}

static int add_entry(struct reading *r, const struct docker_log_entry *e)
{
	char text[DOCKER_LOG_TEXT_MAX + 64];
	size_t n = 0;
	if (!r->streams[e->stream] || e->time_ns < r->since || (r->until && e->time_ns > r->until))
		return 0;
	if (r->timestamps) {
		AUTOFREE char *time = clock_format_rfc3339(e->time_ns);
		n = (size_t)snprintf(text, sizeof text - DOCKER_LOG_TEXT_MAX, "%s ", time);
	}
	if (r->details) /* there are none: Docker puts the blank behind them */
		text[n++] = ' ';
	memcpy(text + n, e->text, e->size);
	return r->raw ? buffer_append(&r->out, text, n + e->size) :
			docker_frame_append(&r->out, e->stream, text, n + e->size);
}

static struct container *find(const struct reading *r)
{
	for (struct container *c = r->engine->containers; c; c = c->next)
		if (streq(c->record.id, r->id))
			return c;
	return NULL;
}

/* Lines that have no end yet are in no log. */
static int add_unfinished(struct reading *r, const struct container *c, struct buffer *first)
{
	int result = 0;
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(c->log.partial); i++) {
		const struct buffer *line = &c->log.partial[i];
		enum docker_stream stream = i ? DOCKER_STDERR : DOCKER_STDOUT;
		if (line->size && r->streams[stream])
			result = r->raw ? buffer_append(first, line->data, line->size) :
					  docker_frame_append(first, stream, line->data, line->size);
	}
	return result;
}

static int is_running(const struct reading *r)
{
	const struct container *c = find(r);
	return c && (c->pid != 0 || c->starting || c->ended);
}

/* The client has the whole log: the container's streams get it. */
static void go_on_attached(struct reading *r)
{
	AUTO_BUFFER struct buffer first;
	struct container *c = find(r);
	struct stdio_client client = r->attached;
	buffer_init(&first, OUT_MAX);
	if (!c || c->cleaning || c->remove || add_unfinished(r, c, &first) < 0)
		return;
	source_free(TAKE_PTR(r->client));
	client.fd = TAKE_FD(r->fd);
	client.first = &first;
	if (stdio_attach(container_stdio(c), &client, &r->early) == 0)
		event_container(c, "attach", NULL, NULL);
}

/* An attached client reads the head of the answer first (stdio.c). 0 or -errno. */
static int send_out(struct reading *r)
{
	if (r->is_held && fd_is_unread(r->fd))
		return 0;
	r->is_held = 0;
	ssize_t n = buffer_send(&r->out, r->fd);
	return n < 0 ? (int)n : 0;
}

/* The edge is the client's read. Setting the same events once more would report one. */
static void set_events(struct reading *r)
{
	uint32_t events = r->out.size ? EPOLLOUT | (r->is_held ? EPOLLET : 0) : EPOLLRDHUP;
	if (events != r->events && source_set_events(r->client, events) == 0)
		r->events = events;
}

/* Sends what there is. 1: the answer has ended, or the client is gone. */
static int pump(struct reading *r)
{
	struct docker_log_entry e;
	int more = 1;
	while (more) {
		while (r->out.size < OUT_FULL && (more = docker_log_read(&r->reader, &e)) == 1)
			if (add_entry(r, &e) < 0)
				return 1;
		if (r->out.size && send_out(r) < 0)
			return 1;
		if (r->out.size)
			break;
		if (more < 0)
			return 1;
	}
	set_events(r);
	int over = r->until && clock_realtime_ns() > r->until;
	if (r->attaches && !r->out.size)
		go_on_attached(r);
	return !r->out.size && (!r->follow || !is_running(r) || over);
}

static void on_client(struct source *s, int fd, uint32_t events, void *data)
{
	struct reading *r = data;
	if (events & (EPOLLHUP | EPOLLERR) || pump(r))
		reading_free(r);
}

static void on_change(struct source *s, int fd, uint32_t events, void *data)
{
	struct reading *r = data;
	char names[4096];
	while (read(fd, names, sizeof names) > 0)
		;
	if (pump(r))
		reading_free(r);
}

static uint64_t parse_tail(const char *text)
{
	uint64_t n;
	return !text || parse_u64(text, &n) < 0 ? UINT64_MAX : n;
}

static int watch(struct reading *r)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", r->directory);
	r->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->watch < 0 || inotify_add_watch(r->watch, path, IN_MODIFY | IN_CREATE | IN_MOVE | IN_CLOSE_WRITE) < 0)
		return -errno;
	return loop_add_io(r->loop, r->watch, EPOLLIN, on_change, r, &r->changes);
}

static struct reading *reading_new(struct container *c, struct http_exchange *x)
{
	struct reading *r = xnew(struct reading);
	AUTOFREE char *since = engine_query(x, "since"), *until = engine_query(x, "until");
	*r = (struct reading){ .loop = c->engine->loop,
		.engine = c->engine,
		.id = xstrdup(c->record.id),
		.fd = -1,
		.watch = -1,
		.follow = engine_flag(x, "follow", 0),
		.timestamps = engine_flag(x, "timestamps", 0),
		.details = engine_flag(x, "details", 0),
		.since = docker_parse_time(since),
		.until = docker_parse_time(until) };
	r->streams[DOCKER_STDOUT] = engine_flag(x, "stdout", 0);
	r->streams[DOCKER_STDERR] = engine_flag(x, "stderr", 0);
	r->raw = c->record.body.tty;
	r->reader.fd = -1;
	r->directory = openat(c->engine->folders, c->record.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	buffer_init(&r->out, OUT_MAX);
	return r;
}

static int begin(struct reading *r, const struct container *c, struct http_exchange *x, uint64_t tail,
    struct error **err)
{
	int result = !r->streams[DOCKER_STDOUT] && !r->streams[DOCKER_STDERR] ?
			 error_set(err, EINVAL, "Bad parameters: you must choose at least one stream") :
		     c->record.body.log_none ?
			 error_set(err, EINVAL, "configured logging driver does not support reading") :
		     r->directory < 0 ? -ENOENT :
					docker_log_read_open(&r->reader, r->directory, tail);
	return result == 0 && r->follow ? watch(r) : result;
}

/* Answers, or says why not. Takes r. */
static void run(struct reading *r, const struct container *c, struct http_exchange *x, uint64_t tail)
{
	AUTO_ERROR struct error *err = NULL;
	int result = begin(r, c, x, tail, &err);
	if (result < 0)
		engine_error(x, result, err);
	if (result < 0 || hijack(x, r->raw, &r->fd, &r->early) < 0 || fd_set_nonblocking(r->fd, 1) < 0 ||
	    loop_add_io(r->loop, r->fd, 0, on_client, r, &r->client) < 0 || pump(r))
		reading_free(r);
}

void engine_logs(struct engine *e, struct http_exchange *x, const char *name)
{
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *tail = engine_query(x, "tail");
	if (c)
		run(reading_new(c, x), c, x, parse_tail(tail));
}

void logs_attach(struct container *c, struct http_exchange *x, const struct stdio_client *client)
{
	struct reading *r = reading_new(c, x);
	r->follow = r->timestamps = r->details = 0;
	r->since = r->until = 0;
	r->attaches = engine_flag(x, "stream", 0);
	r->attached = *client;
	r->is_held = 1;
	run(r, c, x, UINT64_MAX);
}
