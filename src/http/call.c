/* SPDX-License-Identifier: Apache-2.0
 * The loop's client: one call on one stream. The call owns its descriptor, timer and buffers, and
 * frees itself just before its last callback, so that the callback may do anything. What the other
 * side sends is capped: head, line and body. */
#include <errno.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/internal.h"

enum { READ_SIZE = 64 * 1024, INPUT_MAX = HTTP_HEAD_MAX + READ_SIZE };

struct http_call {
	struct loop *loop;
	int fd;
	struct source *io, *timer;
	struct buffer out, in, body;
	struct http_head head;
	int have_head;
	struct http_chunks chunks;
	uint64_t body_left;
	struct http_call_events events;
	void *data;
	char *target;
	int *cancelled; /* set while a callback runs: it may cancel the call */
};

static void call_free(struct http_call *c)
{
	source_free(c->io);
	source_free(c->timer);
	fd_close(c->fd);
	buffer_done(&c->out);
	buffer_done(&c->in);
	buffer_done(&c->body);
	http_head_done(&c->head);
	free(c->target);
	free(c);
}

void http_call_cancel(struct http_call *c)
{
	if (!c)
		return;
	if (c->cancelled)
		*c->cancelled = 1;
	call_free(c);
}

static void finish(struct http_call *c, int code, struct json_object *body, const struct error *err)
{
	struct http_call_events events = c->events;
	void *data = c->data;
	call_free(c);
	if (events.done)
		events.done(code, body, err, data);
}

static void fail(struct http_call *c, int code, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	code = code < 0 ? -code : code;
	error_set(&err, code, "%s: %s", c->target, text);
	finish(c, -code, NULL, err);
}

static void fail_with_answer(struct http_call *c)
{
	AUTO_ERROR struct error *err = NULL;
	int code = http_error_from_answer(c->head.status, c->body.data, c->body.size, &err);
	finish(c, code, NULL, err);
}

static void complete(struct http_call *c)
{
	AUTO_JSON struct json_object *body = NULL;
	AUTO_ERROR struct error *err = NULL;
	if (c->head.status >= 400 || c->events.upgraded) {
		fail_with_answer(c);
		return;
	}
	int r =
	    c->body.size && !c->events.line ? json_parse_bytes(c->body.data, c->body.size, c->target, &body, &err) : 0;
	finish(c, r, body, err);
}

/* Hands out the complete lines in body: 1 the call is gone, 0 go on. */
static int hand_out_lines(struct http_call *c)
{
	const char *end;
	while (c->body.size && (end = memchr(c->body.data, '\n', c->body.size))) {
		AUTO_JSON struct json_object *line = NULL;
		size_t n = (size_t)(end - c->body.data);
		int r = n ? json_parse_bytes(c->body.data, n, c->target, &line, NULL) : 0;
		if (r < 0) {
			fail(c, EPROTO, "a malformed line in the answer");
			return 1;
		}
		buffer_consume(&c->body, n + 1);
		int cancelled = 0;
		c->cancelled = &cancelled;
		if (line)
			c->events.line(line, c->data);
		if (cancelled)
			return 1;
		c->cancelled = NULL;
	}
	if (c->body.size < HTTP_LINE_MAX)
		return 0;
	fail(c, EMSGSIZE, "too long a line in the answer");
	return 1;
}

/* Adds decoded bytes of the body: 1 the call is gone. */
static int add_body(struct http_call *c, const char *data, size_t size)
{
	if (buffer_append(&c->body, data, size) < 0) {
		fail(c, EMSGSIZE, "too large an answer");
		return 1;
	}
	return c->events.line && c->head.status < 400 ? hand_out_lines(c) : 0;
}

/* Decodes what is in `in`: 1 the call is gone. */
static int take_body(struct http_call *c)
{
	while (c->in.size) {
		const char *data = c->in.data;
		size_t used = MIN(c->in.size, c->body_left), size = used;
		int ended = 0;
		if (c->head.chunked)
			ended = http_chunks_feed(&c->chunks, c->in.data, c->in.size, &used, &data, &size);
		if (ended < 0) {
			fail(c, EPROTO, "a malformed chunk in the answer");
			return 1;
		}
		if (!c->head.chunked && c->body_left != UINT64_MAX)
			ended = (c->body_left -= used) == 0;
		if (size && add_body(c, data, size))
			return 1;
		buffer_consume(&c->in, used);
		if (ended) {
			complete(c);
			return 1;
		}
	}
	return 0;
}

static void hand_over(struct http_call *c)
{
	struct http_call_events events = c->events;
	void *data = c->data;
	int fd = TAKE_FD(c->fd);
	AUTO_BUFFER struct buffer early = c->in;
	buffer_init(&c->in, 0);
	source_free(TAKE_PTR(c->io));
	call_free(c);
	events.upgraded(fd, &early, data);
}

/* 1 the call is gone. */
static int take_head(struct http_call *c)
{
	AUTO_ERROR struct error *err = NULL;
	ssize_t n;
	while ((n = c->in.size ? http_parse_response(c->in.data, c->in.size, &c->head, &err) : -EAGAIN) > 0) {
		buffer_consume(&c->in, (size_t)n);
		if (c->head.status >= 200 || c->head.status == 101)
			break;
		http_head_done(&c->head);
	}
	if (n == -EAGAIN)
		return 0;
	if (n < 0) {
		fail(c, EPROTO, error_text(err, EPROTO));
		return 1;
	}
	c->have_head = 1;
	c->body_left = c->head.content_length >= 0 ? (uint64_t)c->head.content_length : UINT64_MAX;
	if (c->head.status == 101) {
		if (c->events.upgraded)
			hand_over(c);
		else
			fail(c, EPROTO, "an upgrade that nobody asked for");
		return 1;
	}
	if (!http_answer_has_body(&c->head)) {
		complete(c);
		return 1;
	}
	return 0;
}

static void at_end_of_file(struct http_call *c)
{
	if (c->have_head && !c->head.chunked && c->head.content_length < 0)
		complete(c);
	else
		fail(c, ECONNRESET,
		    c->have_head ? "the stream ended in the middle of the answer" :
				   "the stream ended before an answer came");
}

static void on_readable(struct http_call *c)
{
	ssize_t n = buffer_read(&c->in, c->fd, MIN((size_t)READ_SIZE, c->in.max - c->in.size));
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == 0 || n == -ECONNRESET) {
		at_end_of_file(c);
		return;
	}
	if (n < 0) {
		fail(c, (int)n, strerror((int)-n));
		return;
	}
	if (!c->have_head && take_head(c))
		return;
	if (c->have_head)
		take_body(c);
}

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct http_call *c = data;
	if (events & EPOLLOUT && c->out.size) {
		/* A failure to send shows as end of file, behind an answer that may have come
		 * already. */
		if (buffer_send(&c->out, c->fd) < 0)
			buffer_done(&c->out);
		if (c->out.size == 0)
			source_set_events(c->io, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_readable(c);
}

static void on_timer(struct source *s, void *data)
{
	fail(data, ETIMEDOUT, "no answer in time");
}

int http_call(struct loop *l, int fd, const char *method, const char *target, struct json_object *body,
    uint64_t deadline_ms, const struct http_call_events *events, void *data, struct http_call **ret)
{
	AUTO_JSON struct json_object *owned_body = body;
	struct http_call *c = xnew(struct http_call);
	c->loop = l;
	c->fd = fd;
	c->events = *events;
	c->data = data;
	c->target = http_target_path(target);
	c->head.content_length = -1;
	buffer_init(&c->out, HTTP_BODY_MAX + HTTP_HEAD_MAX);
	buffer_init(&c->in, INPUT_MAX);
	buffer_init(&c->body, HTTP_BODY_MAX);
	int r = fd_set_nonblocking(fd, 1);
	if (r >= 0)
		r = http_append_request(&c->out, method, target, events->upgrade, owned_body);
	if (r >= 0)
		r = loop_add_io(l, fd, EPOLLIN | EPOLLOUT, on_io, c, &c->io);
	if (r >= 0)
		r = loop_add_timer(l, deadline_ms, on_timer, c, &c->timer);
	if (r < 0) {
		call_free(c);
		return r;
	}
	if (ret)
		*ret = c;
	return 0;
}
