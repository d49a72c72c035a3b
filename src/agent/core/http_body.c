/* SPDX-License-Identifier: Apache-2.0
 * See http_body.h. */
#include "agent/core/http_body.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"

enum { STALL_S = 120, CHUNK = 128 * 1024, RAW_MAX = HTTP_HEAD_MAX + HTTP_BODY_MAX + 1024 };

static void prepare_stream(int stream)
{
	struct timeval limit = { .tv_sec = STALL_S };
	fd_set_nonblocking(stream, 0);
	setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* ---- the answer ---- */

void body_out_init(struct body_out *o, int stream, const char *head)
{
	*o = (struct body_out){ .stream = stream, .head = head };
	buffer_init(&o->chunk, 2 * CHUNK);
	prepare_stream(stream);
}

static int flush(struct body_out *o)
{
	char size[32];
	int r = 0;
	if (!o->begun) {
		r = fd_write_full(o->stream, o->head, strlen(o->head));
		o->begun = 1;
	}
	if (r < 0 || !o->chunk.size)
		return r;
	snprintf(size, sizeof size, "%zx\r\n", o->chunk.size);
	if ((r = fd_write_full(o->stream, size, strlen(size))) < 0 ||
	    (r = fd_write_full(o->stream, o->chunk.data, o->chunk.size)) < 0)
		return r;
	buffer_consume(&o->chunk, o->chunk.size);
	return fd_write_full(o->stream, "\r\n", 2);
}

int body_out_add(void *data, const void *bytes, size_t size)
{
	struct body_out *o = data;
	int r = o->chunk.size + size > CHUNK ? flush(o) : 0;
	return r < 0 ? r : buffer_append(&o->chunk, bytes, size);
}

/* One piece of what is in the buffer: bytes given, 0 when more must be read. */
static ssize_t take_piece(struct body_in *b, const void **ret, struct error **err)
{
	const char *data = b->in.data;
	size_t used = b->in.size, size = b->in.size;
	if (!b->chunked) {
		used = size = (size_t)MIN((uint64_t)b->in.size, b->left);
		b->left -= size;
		b->ended = b->left == 0;
	} else if (b->in.size) {
		int r = http_chunks_feed(&b->chunks, b->in.data, b->in.size, &used, &data, &size);
		if (r < 0)
			return error_set(err, EBADMSG, "the request's body is broken");
		b->ended = r > 0;
	}
	b->used = used;
	*ret = data;
	return (ssize_t)size;
}

ssize_t body_in_read(void *data, const void **ret, struct error **err)
{
	struct body_in *b = data;
	for (;;) {
		buffer_consume(&b->in, b->used);
		b->used = 0;
		if (b->ended)
			return 0;
		ssize_t n = take_piece(b, ret, err);
		if (n != 0)
			return n;
		if (b->used || b->ended)
			continue;
		n = buffer_read(&b->in, b->stream, CHUNK);
		if (n <= 0)
			return error_set(err, n < 0 ? (int)-n : EPIPE, "the archive ended early");
	}
}

int body_out_end(struct body_out *o)
{
	int r = flush(o);
	return r < 0 ? r : fd_write_full(o->stream, "0\r\n\r\n", 5);
}

void body_out_done(struct body_out *o)
{
	buffer_done(&o->chunk);
}

/* ---- the request ---- */

int body_in_begin(struct body_in *b, int stream, const struct buffer *raw, struct error **err)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	prepare_stream(stream);
	buffer_init(&b->in, RAW_MAX);
	ssize_t n = http_parse_request(raw->data, raw->size, &head, err);
	if (n < 0)
		return (int)n;
	buffer_append(&b->in, raw->data + n, raw->size - (size_t)n);
	b->stream = stream;
	b->chunked = head.chunked;
	b->left = head.content_length > 0 ? (uint64_t)head.content_length : 0;
	b->ended = !head.chunked && b->left == 0;
	return 0;
}

void body_in_drain(struct body_in *b, int stream)
{
	buffer_consume(&b->in, b->in.size);
	while (buffer_read(&b->in, stream, CHUNK) > 0)
		buffer_consume(&b->in, b->in.size);
}

void body_in_done(struct body_in *b)
{
	buffer_done(&b->in);
}
