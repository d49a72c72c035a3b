/* SPDX-License-Identifier: Apache-2.0
 * The blocking client: one request on a connected socket, then its answer as JSON, lines or bytes.
 * Every wait has the caller's deadline. `early` holds raw bytes that were read but not decoded
 * yet. */
#include <errno.h>
#include <poll.h>

#include "base/fd.h"
#include "http/internal.h"

enum { READ_SIZE = 16 * 1024, EARLY_MAX = HTTP_HEAD_MAX + READ_SIZE, NOT_MODIFIED = 304 };

void http_response_done(struct http_response *response)
{
	http_head_done(&response->head);
	buffer_done(&response->early);
	buffer_done(&response->lines);
	response->fd = -1;
}

static int wait_for(int fd, short events, uint64_t deadline_ms, struct error **err)
{
	int r = fd_wait(fd, events, deadline_ms);
	if (r == 0)
		return error_set(err, ETIMEDOUT, "no answer in time");
	return r < 0 ? error_set_errno(err, r, "waiting for an answer") : 0;
}

static int send_all(int fd, struct buffer *out, uint64_t deadline_ms, struct error **err)
{
	while (out->size) {
		int r = wait_for(fd, POLLOUT, deadline_ms, err);
		ssize_t n = r < 0 ? r : buffer_send(out, fd);
		if (r < 0)
			return r;
		/* A server that has answered (refused) already may have closed: its answer is still
		 * there to be read. */
		if (n == -EPIPE || n == -ECONNRESET)
			return 0;
		if (n < 0)
			return error_set_errno(err, (int)n, "sending a request");
	}
	return 0;
}

/* Reads more raw bytes: count, 0 at the end, -errno. */
static ssize_t read_more(struct http_response *response, uint64_t deadline_ms, struct error **err)
{
	for (;;) {
		int waited = wait_for(response->fd, POLLIN, deadline_ms, err);
		if (waited < 0)
			return waited;
		ssize_t n = buffer_read(&response->early, response->fd,
		    MIN((size_t)READ_SIZE, response->early.max - response->early.size));
		if (n >= 0)
			return n;
		if (n == -ECONNRESET)
			return 0;
		if (n != -EAGAIN && n != -EINTR)
			return error_set_errno(err, (int)n, "reading an answer");
	}
}

static int read_head(struct http_response *response, uint64_t deadline_ms, struct error **err)
{
	for (;;) {
		ssize_t n = response->early.size ?
				http_parse_response(response->early.data, response->early.size, &response->head, err) :
				-EAGAIN;
		if (n > 0) {
			buffer_consume(&response->early, (size_t)n);
			if (response->head.status >= 200 || response->head.status == 101)
				return 0;
			http_head_done(&response->head); /* 100 Continue and the like */
			continue;
		}
		if (n != -EAGAIN)
			return (int)n;
		n = read_more(response, deadline_ms, err);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return error_set(err, ECONNRESET, "the connection ended before an answer came");
	}
}

static int read_whole(struct http_response *response, uint64_t deadline_ms, struct buffer *body, struct error **err)
{
	for (;;) {
		void *room = buffer_reserve(body, READ_SIZE);
		if (!room)
			return error_set(err, EMSGSIZE, "an answer of more than %d bytes", HTTP_BODY_MAX);
		ssize_t n = http_response_read(response, room, READ_SIZE, deadline_ms, err);
		if (n <= 0)
			return (int)n;
		buffer_commit(body, (size_t)n);
	}
}

static int read_failure(struct http_response *response, uint64_t deadline_ms, struct error **err)
{
	AUTO_BUFFER struct buffer body;
	buffer_init(&body, HTTP_BODY_MAX + READ_SIZE);
	(void)read_whole(response, deadline_ms, &body, NULL);
	return http_error_from_answer(response->head.status, body.data, body.size, err);
}

int http_answer(int fd, uint64_t deadline_ms, struct http_response *ret, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = fd };
	*ret = (struct http_response){ .fd = -1 };
	buffer_init(&ret->early, 0);
	buffer_init(&ret->lines, 0);
	buffer_init(&response.early, EARLY_MAX);
	buffer_init(&response.lines, HTTP_BODY_MAX);
	int result = read_head(&response, deadline_ms, err);
	if (result < 0)
		return result;
	response.ended = !http_answer_has_body(&response.head);
	response.body_left = response.head.content_length >= 0 ? (uint64_t)response.head.content_length : UINT64_MAX;
	if (response.head.status >= 400)
		return read_failure(&response, deadline_ms, err);
	if (response.head.status >= 300 && response.head.status != NOT_MODIFIED)
		return error_set(err, EPROTO, "answered with HTTP status %d", response.head.status);
	*ret = response;
	response = (struct http_response){ .fd = -1 };
	return 0;
}

int http_send_request(int fd, const char *method, const char *target, const char *upgrade, struct json_object *body,
    uint64_t deadline_ms, struct error **err)
{
	AUTO_BUFFER struct buffer out;
	buffer_init(&out, HTTP_BODY_MAX + HTTP_HEAD_MAX);
	int result = http_append_request(&out, method, target, upgrade, body);
	return result < 0 ? error_set_errno(err, result, "request for %s", target) :
			    send_all(fd, &out, deadline_ms, err);
}

int http_request(int fd, const char *method, const char *target, const char *upgrade, struct json_object *body,
    uint64_t deadline_ms, struct http_response *ret, struct error **err)
{
	*ret = (struct http_response){ .fd = -1 };
	int result = http_send_request(fd, method, target, upgrade, body, deadline_ms, err);
	return result < 0 ? result : http_answer(fd, deadline_ms, ret, err);
}

/* Decodes from early into data: bytes, 0 when more must be read (or the body ended: ->ended),
 * -EBADMSG. */
static ssize_t decode_early(struct http_response *response, char *data, size_t size)
{
	const char *run = response->early.data;
	size_t n = MIN(size, response->early.size), used = 0;
	if (response->head.chunked) {
		int state = http_chunks_feed(&response->chunks, response->early.data, n, &used, &run, &n);
		if (state < 0)
			return state;
		response->ended = state == 1;
	} else {
		used = n = MIN(n, response->body_left);
		response->body_left -= response->body_left == UINT64_MAX ? 0 : n;
		response->ended = response->body_left == 0;
	}
	memcpy(data, run, n);
	buffer_consume(&response->early, used);
	return (ssize_t)n;
}

ssize_t http_response_read(struct http_response *response, void *data, size_t size, uint64_t deadline_ms,
    struct error **err)
{
	while (!response->ended && size) {
		while (response->early.size && !response->ended) {
			ssize_t n = decode_early(response, data, size);
			if (n < 0)
				return error_set(err, EBADMSG, "malformed chunk in an answer");
			if (n > 0)
				return n;
		}
		ssize_t n = response->ended ? 0 : read_more(response, deadline_ms, err);
		if (n < 0)
			return n;
		if (n == 0 && !response->ended) {
			response->ended = 1;
			if (response->head.chunked || response->head.content_length >= 0)
				return error_set(err, ECONNRESET, "the connection ended in the middle of an answer");
		}
	}
	return 0;
}

int http_response_json(struct http_response *response, uint64_t deadline_ms, struct json_object **ret,
    struct error **err)
{
	AUTO_BUFFER struct buffer body;
	buffer_init(&body, HTTP_BODY_MAX + READ_SIZE);
	int result = read_whole(response, deadline_ms, &body, err);
	return result < 0 ? result : json_parse_bytes(body.data ? body.data : "", body.size, "answer", ret, err);
}

int http_response_line(struct http_response *response, uint64_t deadline_ms, struct json_object **ret,
    struct error **err)
{
	for (;;) {
		const char *end =
		    response->lines.size ? memchr(response->lines.data, '\n', response->lines.size) : NULL;
		size_t n = end ? (size_t)(end - response->lines.data) : response->lines.size;
		if (end || (response->ended && n)) {
			int result = n ? json_parse_bytes(response->lines.data, n, "answer", ret, err) : 0;
			buffer_consume(&response->lines, end ? n + 1 : n);
			if (result < 0 || n)
				return result < 0 ? result : 1;
			continue;
		}
		void *room = buffer_reserve(&response->lines, READ_SIZE);
		if (!room)
			return error_set(err, EMSGSIZE, "a line of more than %d bytes in an answer", HTTP_BODY_MAX);
		ssize_t got = http_response_read(response, room, READ_SIZE, deadline_ms, err);
		if (got < 0)
			return (int)got;
		if (got == 0 && response->lines.size == 0)
			return 0;
		buffer_commit(&response->lines, (size_t)got);
	}
}
