/* SPDX-License-Identifier: Apache-2.0
 * Copies bytes both ways between two descriptors.
 *
 * Each direction is a pipe of its own: a buffer, an end on either side. End of file on one side
 * becomes shutdown(2) on the other once the buffer is empty. A side that hung up (EPOLLHUP: it
 * neither reads nor writes any more) leaves the loop, because level-triggered epoll would report it
 * for ever; what it wrote before is still read, driven by the other side. When nothing can reach
 * anybody any more the relay ends: a session whose command line was killed ends inside, too. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/http.h"

enum { RELAY_BUFFER = 64 * 1024, TURN_MAX = 16 };

struct side {
	struct relay *relay;
	int fd;
	struct source *source;
	struct buffer to; /* bytes on their way to this side */
	int read_ended;   /* nothing more comes from it */
	int write_ended;  /* it takes nothing more */
	int hung_up;
};

struct relay {
	struct loop *loop;
	struct side sides[2];
	struct source *deferred;
	void (*ended)(struct relay *r, void *data);
	void (*parted)(void *data); /* NULL: nobody wants to know, or does already */
	void *data;
};

static void relay_run(struct relay *r);

static void on_deferred(struct source *source, void *data)
{
	struct relay *r = data;
	source_free(TAKE_PTR(r->deferred));
	relay_run(r);
}

static int relay_again(struct relay *r)
{
	return r->deferred ? 0 : loop_add_deferred(r->loop, on_deferred, r, &r->deferred);
}

static void side_hang_up(struct side *s)
{
	s->hung_up = 1;
	source_free(TAKE_PTR(s->source));
}

static void side_stop_writing(struct side *s)
{
	s->write_ended = 1;
	buffer_done(&s->to);
}

static void side_read(struct side *from, struct side *to)
{
	for (int i = 0; i < TURN_MAX && !from->read_ended && !to->write_ended; i++) {
		if (to->to.size >= RELAY_BUFFER)
			return;
		ssize_t n = buffer_read(&to->to, from->fd, RELAY_BUFFER - to->to.size);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0)
			from->read_ended = 1;
		ssize_t sent = buffer_send(&to->to, to->fd);
		if (sent < 0)
			side_stop_writing(to);
	}
}

static void pump(struct side *from, struct side *to)
{
	if (to->to.size && buffer_send(&to->to, to->fd) < 0)
		side_stop_writing(to);
	side_read(from, to);
	if (from->read_ended && to->to.size == 0 && !to->write_ended) {
		shutdown(to->fd, SHUT_WR);
		to->write_ended = 1;
	}
}

/* Nothing more can get from a to b. */
static int direction_ended(const struct side *from, const struct side *to)
{
	return to->write_ended || to->hung_up || (from->read_ended && to->to.size == 0);
}

static int is_unheard(const struct side *from, const struct side *to)
{
	return from->hung_up && !from->read_ended && !to->write_ended && to->to.size == 0;
}

static void side_set_events(struct side *s, struct side *other)
{
	uint32_t events = 0;
	if (!s->read_ended && !other->write_ended && other->to.size < RELAY_BUFFER)
		events |= EPOLLIN;
	if (s->to.size)
		events |= EPOLLOUT;
	if (s->source)
		source_set_events(s->source, events);
}

static void tell_parted(struct relay *r)
{
	void (*parted)(void *data) = r->parted;
	if (!parted || !(r->sides[0].hung_up || r->sides[1].hung_up || r->sides[1].read_ended))
		return;
	r->parted = NULL;
	parted(r->data);
}

static void relay_run(struct relay *r)
{
	struct side *a = &r->sides[0], *b = &r->sides[1];
	pump(a, b);
	pump(b, a);
	tell_parted(r);
	if (direction_ended(a, b) && direction_ended(b, a)) {
		if (r->ended)
			r->ended(r, r->data);
		else
			relay_free(r);
		return;
	}
	side_set_events(a, b);
	side_set_events(b, a);
	/* A side that has left the loop and has more to say wakes nobody. */
	if (is_unheard(a, b) || is_unheard(b, a))
		relay_again(r);
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct side *s = data;
	if (events & (EPOLLHUP | EPOLLERR))
		side_hang_up(s);
	relay_run(s->relay);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	source_free(r->deferred);
	for (int i = 0; i < 2; i++) {
		source_free(r->sides[i].source);
		fd_close(r->sides[i].fd);
		buffer_done(&r->sides[i].to);
	}
	free(r);
}

void relay_on_parted(struct relay *r, void (*parted)(void *data))
{
	r->parted = parted;
}

int relay_new(struct loop *l, int a, int b, struct buffer *first_to_b, void (*ended)(struct relay *r, void *data),
    void *data, struct relay **ret)
{
	struct relay *r = xnew(struct relay);
	int fds[2] = { a, b }, result = 0;
	size_t first = first_to_b ? first_to_b->size : 0;
	r->loop = l;
	r->ended = ended;
	r->data = data;
	for (int i = 0; i < 2; i++) {
		r->sides[i].relay = r;
		r->sides[i].fd = fds[i];
		buffer_init(&r->sides[i].to, MAX((size_t)RELAY_BUFFER, i ? first : 0));
		fd_set_nonblocking(fds[i], 1);
	}
	if (first)
		result = buffer_append(&r->sides[1].to, first_to_b->data, first);
	for (int i = 0; i < 2 && result == 0; i++)
		result = loop_add_io(l, fds[i], 0, on_io, &r->sides[i], &r->sides[i].source);
	if (result == 0)
		result = relay_again(r);
	if (result < 0) {
		relay_free(r);
		return result;
	}
	if (ret)
		*ret = r;
	return 0;
}
