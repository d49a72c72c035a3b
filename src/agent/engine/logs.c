/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /logs. The answer ends with its connection. A reader that follows is woken by
 * inotify, so it needs nothing of the container but its folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/engine/engine.h"
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
	int follow, streams[3], timestamps, raw;
	int64_t since, until; /* ns */
};

static void reading_free(struct reading *r)
{
	source_free(r->client);
	source_free(r->changes);
	docker_log_read_done(&r->reader);
	buffer_done(&r->out);
	fd_close(r->directory);
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
	memcpy(text + n, e->text, e->size);
	return r->raw ? buffer_append(&r->out, text, n + e->size) :
			docker_frame_append(&r->out, e->stream, text, n + e->size);
}

static int is_running(const struct reading *r)
{
	for (const struct container *c = r->engine->containers; c; c = c->next)
		if (streq(c->record.id, r->id))
			return c->pid != 0 || c->starting || c->ended;
	return 0;
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
		if (r->out.size && buffer_send(&r->out, r->fd) < 0)
			return 1;
		if (r->out.size)
			break;
		if (more < 0)
			return 1;
	}
	source_set_events(r->client, r->out.size ? EPOLLOUT : EPOLLRDHUP);
	int over = r->until && clock_realtime_ns() > r->until;
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

void engine_logs(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer early = { 0 };
	struct container *c = container_find(e, name, &err);
	if (!c) {
		engine_error(x, -ENOENT, err);
		return;
	}
	AUTOFREE char *tail = engine_query(x, "tail");
	struct reading *r = reading_new(c, x);
	int result = !r->streams[DOCKER_STDOUT] && !r->streams[DOCKER_STDERR] ?
			 error_set(&err, EINVAL, "Bad parameters: you must choose at least one stream") :
		     c->record.body.log_none ?
			 error_set(&err, EINVAL, "configured logging driver does not support reading") :
		     r->directory < 0 ? -ENOENT :
					docker_log_read_open(&r->reader, r->directory, parse_tail(tail));
	if (result == 0 && r->follow)
		result = watch(r);
	if (result < 0) {
		engine_error(x, result, err);
		reading_free(r);
		return;
	}
	if (hijack(x, r->raw, &r->fd, &early) < 0 || fd_set_nonblocking(r->fd, 1) < 0 ||
	    loop_add_io(r->loop, r->fd, 0, on_client, r, &r->client) < 0 || pump(r))
		reading_free(r);
}
