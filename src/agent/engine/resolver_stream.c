/* SPDX-License-Identifier: Apache-2.0
 * Queries by TCP (RFC 7766): two bytes of length before each message. One query of a connection is
 * under way at a time. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/engine/resolver_private.h"
#include "base/accept.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"

enum { STREAMS_MAX = 32, IDLE_MS = 10 * 1000, LENGTH = 2, READ_SIZE = 4096, OUT_MAX = 2 * DNS_MESSAGE_MAX };

struct stream {
	struct stream *next;
	struct resolver *resolver;
	int fd, is_asking, has_ended;
	struct source *io, *timer;
	struct buffer in, out;
};

static void stream_free(struct stream *s)
{
	struct stream **at = &s->resolver->streams;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->resolver->stream_count--;
	resolver_forget_stream(s->resolver, s);
	source_free(s->io);
	source_free(s->timer);
	fd_close(s->fd);
	buffer_done(&s->in);
	buffer_done(&s->out);
	free(s);
}

static void put(struct stream *s, const void *data, size_t size)
{
	const uint8_t length[LENGTH] = { (uint8_t)(size >> 8), (uint8_t)size };
	if (buffer_append(&s->out, length, sizeof length) < 0 || buffer_append(&s->out, data, size) < 0)
		s->has_ended = 1;
}

static void ask(struct stream *s, const void *data, size_t size)
{
	static uint8_t answer[DNS_QUERY_MAX + DNS_MESSAGE_MAX];
	struct dns_query q;
	ssize_t answered = resolver_answer(s->resolver, data, size, &q, answer, DNS_MESSAGE_MAX);
	if (answered == -EBADMSG) {
		s->has_ended = 1;
		return;
	}
	s->is_asking = answered == 0;
	if (s->is_asking && resolver_forward(s->resolver, data, size, NULL, s) < 0) {
		s->is_asking = 0;
		answered = (ssize_t)dns_answer(&q, DNS_SERVER_FAILURE, answer);
	}
	if (answered > 0)
		put(s, answer, (size_t)answered);
}

/* Asks for what is whole. */
static void take_queries(struct stream *s)
{
	while (!s->is_asking && !s->out.size && s->in.size >= LENGTH) {
		size_t size = (size_t)(uint8_t)s->in.data[0] << 8 | (uint8_t)s->in.data[1];
		if (size > DNS_QUERY_MAX) {
			s->has_ended = 1;
			buffer_consume(&s->in, s->in.size);
			return;
		}
		if (s->in.size - LENGTH < size)
			return;
		ask(s, s->in.data + LENGTH, size);
		buffer_consume(&s->in, LENGTH + size);
	}
}

/* Writes what there is, and frees the connection where it is over. */
static void go_on(struct stream *s)
{
	for (;;) {
		take_queries(s);
		if (!s->out.size)
			break;
		if (buffer_send(&s->out, s->fd) < 0) {
			stream_free(s);
			return;
		}
		if (s->out.size)
			break;
	}
	if (s->has_ended && !s->out.size && !s->is_asking) {
		stream_free(s);
		return;
	}
	source_set_timer(s->timer, clock_deadline(IDLE_MS));
	source_set_events(s->io,
	    (s->has_ended || s->in.size > DNS_QUERY_MAX ? 0 : EPOLLIN) | (s->out.size ? EPOLLOUT : 0));
}

void stream_answer(struct stream *s, const void *data, size_t size)
{
	s->is_asking = 0;
	put(s, data, size);
	go_on(s);
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct stream *s = data;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = buffer_read(&s->in, fd, READ_SIZE);
		if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
			s->has_ended = 1;
			if (events & (EPOLLHUP | EPOLLERR)) {
				stream_free(s);
				return;
			}
		}
	}
	go_on(s);
}

static void on_idle(struct source *source, void *data)
{
	stream_free(data);
}

void resolver_accept(struct source *source, int fd, uint32_t events, void *resolver)
{
	struct resolver *r = resolver;
	AUTO_FD int connection = accept_connection(source, fd);
	if (connection < 0 || r->stream_count >= STREAMS_MAX)
		return;
	struct loop *l = r->container->engine->loop;
	struct stream *s = xnew(struct stream);
	*s = (struct stream){ .resolver = r, .fd = TAKE_FD(connection), .next = r->streams };
	buffer_init(&s->in, LENGTH + DNS_QUERY_MAX + READ_SIZE);
	buffer_init(&s->out, OUT_MAX);
	r->streams = s;
	r->stream_count++;
	if (loop_add_io(l, s->fd, EPOLLIN, on_io, s, &s->io) < 0 ||
	    loop_add_timer(l, clock_deadline(IDLE_MS), on_idle, s, &s->timer) < 0)
		stream_free(s);
}

void resolver_end_streams(struct resolver *r)
{
	for (struct stream *s = r->streams, *next; s; s = next) {
		next = s->next;
		stream_free(s);
	}
}
