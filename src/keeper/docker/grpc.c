/* SPDX-License-Identifier: Apache-2.0
 * POST /grpc and POST /session, by which clients with BuildKit begin (docker buildx, and docker
 * build where DOCKER_BUILDKIT=1 or buildx is installed). There is no BuildKit behind this socket.
 * Such a client shows nothing but the status of a failed upgrade, so the upgrade succeeds, and each
 * call of gRPC is answered by an error that says what helps (RFC 9113; gRPC over HTTP/2,
 * "Responses", Trailers-Only). Headers of requests are not read.
 *
 * /session is the other way round: the client answers calls there. Nobody calls. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

enum { CLIENTS_MAX = 16, HOLD_MS = 60 * 1000 };
enum { PREFACE = 24, FRAME_HEAD = 9, FRAME_MAX = 16384, OUT_MAX = 1 << 16 };
enum { FRAME_HEADERS = 1, FRAME_SETTINGS = 4, FRAME_PING = 6 };
enum { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };

#define MESSAGE "holm's engine has the classic builder alone; set DOCKER_BUILDKIT=0, or use holm build"

struct client {
	struct client *next;
	int fd;
	struct source *source, *timer;
	struct buffer in, out;
	int is_session;
	size_t preface; /* bytes of it that are still to come */
};

static struct {
	struct client *first;
	unsigned count;
} clients;

static void client_free(struct client *c)
{
	struct client **at = &clients.first;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		clients.count--;
	}
	source_free(c->source);
	source_free(c->timer);
	fd_close(c->fd);
	buffer_done(&c->in);
	buffer_done(&c->out);
	free(c);
}

/* ---- frames ---- */

static int put_frame(struct client *c, int type, int flags, const uint8_t *stream, const void *data, size_t size)
{
	static const uint8_t none[4];
	uint8_t head[FRAME_HEAD] = { (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, (uint8_t)type,
		(uint8_t)flags };
	memcpy(head + 5, stream ? stream : none, 4);
	int r = buffer_append(&c->out, head, sizeof head);
	return r < 0 ? r : buffer_append(&c->out, data, size);
}

/* A field without an index (RFC 7541, 6.2.2). */
static void put_field(struct buffer *b, const char *name, const char *value)
{
	const char head[] = { 0, (char)strlen(name) }, size = (char)strlen(value);
	buffer_append(b, head, sizeof head);
	buffer_append_string(b, name);
	buffer_append(b, &size, 1);
	buffer_append_string(b, value);
}

/* Status 9 is FAILED_PRECONDITION: nobody tries again. */
static int answer(struct client *c, const uint8_t *stream)
{
	static const char status_200 = (char)0x88; /* of the static table */
	AUTO_BUFFER struct buffer fields;
	buffer_init(&fields, FRAME_MAX);
	buffer_append(&fields, &status_200, 1);
	put_field(&fields, "content-type", "application/grpc");
	put_field(&fields, "grpc-status", "9");
	put_field(&fields, "grpc-message", MESSAGE);
	return put_frame(c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream, fields.data, fields.size);
}

static int take_frame(struct client *c, const uint8_t *frame, size_t size)
{
	int is_ack = frame[4] & FLAG_ACK;
	switch (frame[3]) {
	case FRAME_HEADERS:
		return answer(c, frame + 5);
	case FRAME_SETTINGS:
		return is_ack ? 0 : put_frame(c, FRAME_SETTINGS, FLAG_ACK, NULL, "", 0);
	case FRAME_PING:
		return is_ack ? 0 : put_frame(c, FRAME_PING, FLAG_ACK, NULL, frame + FRAME_HEAD, size);
	default:
		return 0;
	}
}

static int take_frames(struct client *c)
{
	size_t skipped = MIN(c->preface, c->in.size);
	buffer_consume(&c->in, skipped);
	c->preface -= skipped;
	while (c->in.size >= FRAME_HEAD) {
		const uint8_t *frame = (const uint8_t *)c->in.data;
		size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
		if (size > FRAME_MAX)
			return -EPROTO;
		if (c->in.size < FRAME_HEAD + size)
			return 0;
		int r = take_frame(c, frame, size);
		if (r < 0)
			return r;
		buffer_consume(&c->in, FRAME_HEAD + size);
	}
	return 0;
}

/* ---- the connection ---- */

/* A client that does not read its few answers goes. */
static int send_all(struct client *c)
{
	while (c->out.size) {
		ssize_t n = buffer_send(&c->out, c->fd);
		if (n <= 0)
			return n < 0 ? (int)n : -EAGAIN;
	}
	return 0;
}

static void on_readable(struct source *s, int fd, uint32_t events, void *data)
{
	struct client *c = data;
	(void)s, (void)events;
	ssize_t n = buffer_read(&c->in, fd, FRAME_MAX);
	int r = n > 0 ? 0 : n == -EAGAIN ? 1 : -EPIPE;
	if (r == 0 && c->is_session)
		buffer_consume(&c->in, c->in.size);
	else if (r == 0)
		r = take_frames(c);
	if (r == 0)
		r = send_all(c);
	if (r < 0)
		client_free(c);
}

static void on_time(struct source *s, void *data)
{
	(void)s;
	client_free(data);
}

static int begin(struct client *c, struct loop *loop)
{
	int r = c->is_session ? 0 : put_frame(c, FRAME_SETTINGS, 0, NULL, "", 0);
	if (r == 0 && !c->is_session)
		r = take_frames(c);
	if (r == 0)
		r = send_all(c);
	if (r == 0)
		r = loop_add_io(loop, c->fd, EPOLLIN, on_readable, c, &c->source);
	return r < 0 ? r : loop_add_timer(loop, clock_deadline(HOLD_MS), on_time, c, &c->timer);
}

static void take_client(struct docker_request *q, int is_session)
{
	AUTO_ERROR struct error *err = NULL;
	struct loop *loop = keeper_loop(q->keeper);
	struct buffer early = { 0 };
	int fd;
	if (clients.count >= CLIENTS_MAX) {
		docker_respond_error(q, error_set(&err, EBUSY, "too many clients with BuildKit"), err);
		return;
	}
	int r = http_upgrade(q->exchange, "h2c", &fd, &early);
	docker_request_free(q);
	if (r < 0)
		return;
	struct client *c = xnew(struct client);
	*c = (struct client){ .next = clients.first, .fd = fd, .is_session = is_session, .preface = PREFACE };
	buffer_init(&c->in, FRAME_HEAD + 2 * FRAME_MAX);
	buffer_init(&c->out, OUT_MAX);
	clients.first = c;
	clients.count++;
	r = early.size ? buffer_append(&c->in, early.data, early.size) : 0;
	buffer_done(&early);
	if (r < 0 || fd_set_nonblocking(fd, 1) < 0 || begin(c, loop) < 0)
		client_free(c);
}

void docker_grpc(struct docker_request *q)
{
	take_client(q, 0);
}

void docker_session(struct docker_request *q)
{
	take_client(q, 1);
}

void docker_grpc_done(void)
{
	while (clients.first)
		client_free(clients.first);
}
