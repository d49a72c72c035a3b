/* SPDX-License-Identifier: Apache-2.0
 * Copies bytes both ways between two descriptors.
 *
 * Each direction is a pipe of its own: a buffer, an end on either side. End of file on one side
 * becomes shutdown(2) on the other once the buffer is empty. A side that hung up (EPOLLHUP: it
 * neither reads nor writes any more) leaves the loop, because level-triggered epoll would report it
 * for ever; what it wrote before is still read, driven by the other side. When nothing can reach
 * anybody any more the relay ends: a session whose command line was killed ends inside, too.
 *
 * relay_hold() keeps what follows the head of an answer until its reader has taken the head. */
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
	enum { NO_HEAD, HEAD_COMES, HEAD_UNREAD } head; /* of relay_hold() */
	uint32_t events;                                /* that are watched */
};

struct relay {
	struct loop *loop;
	struct side sides[2];
	struct source *deferred;
	void (*ended)(struct relay *relay, void *data);
	void (*parted)(void *data); /* NULL: nobody wants to know, or does already */
	void *data;
};

static void relay_run(struct relay *relay);

static void on_deferred(struct source *source, void *data)
{
	struct relay *relay = data;
	source_free(TAKE_PTR(relay->deferred));
	relay_run(relay);
}

static int relay_again(struct relay *relay)
{
	return relay->deferred ? 0 : loop_add_deferred(relay->loop, on_deferred, relay, &relay->deferred);
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

/* The head alone, which comes in one piece. */
static ssize_t send_head(struct side *s)
{
	const char *end = memmem(s->to.data, s->to.size, "\r\n\r\n", 4);
	size_t size = end ? (size_t)(end - s->to.data) + 4 : s->to.size;
	ssize_t n = send(s->fd, s->to.data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->head = n < (ssize_t)size ? HEAD_COMES : end ? HEAD_UNREAD : NO_HEAD;
	buffer_consume(&s->to, (size_t)n);
	return n;
}

static ssize_t side_send(struct side *s)
{
	if (s->head == HEAD_COMES && s->to.size) {
		ssize_t n = send_head(s);
		if (n < 0)
			return n;
	}
	if (s->head == HEAD_COMES || (s->head == HEAD_UNREAD && fd_is_unread(s->fd)))
		return 0;
	if (s->to.size)
		s->head = NO_HEAD;
	return buffer_send(&s->to, s->fd);
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
		ssize_t sent = side_send(to);
		if (sent < 0)
			side_stop_writing(to);
	}
	/* The edge for the rest has been used. */
	if (from->head == HEAD_UNREAD && !from->read_ended && !to->write_ended)
		(void)relay_again(from->relay);
}

static void pump(struct side *from, struct side *to)
{
	if (to->to.size && side_send(to) < 0)
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
	int reads = !s->read_ended && !other->write_ended && other->to.size < RELAY_BUFFER;
	uint32_t events = s->to.size ? EPOLLOUT : 0;
	/* The edge is the read of the head. Setting the same events once more would report one. */
	if (s->to.size && s->head == HEAD_UNREAD)
		events |= EPOLLET;
	if (reads)
		events |= EPOLLIN;
	if (s->source && events != s->events && source_set_events(s->source, events) == 0)
		s->events = events;
}

static void tell_parted(struct relay *relay)
{
	void (*parted)(void *data) = relay->parted;
	if (!parted || !(relay->sides[0].hung_up || relay->sides[1].hung_up || relay->sides[1].read_ended))
		return;
	relay->parted = NULL;
	parted(relay->data);
}

static void relay_run(struct relay *relay)
{
	struct side *a = &relay->sides[0], *b = &relay->sides[1];
	pump(a, b);
	pump(b, a);
	tell_parted(relay);
	if (direction_ended(a, b) && direction_ended(b, a)) {
		if (relay->ended)
			relay->ended(relay, relay->data);
		else
			relay_free(relay);
		return;
	}
	side_set_events(a, b);
	side_set_events(b, a);
	/* A side that has left the loop and has more to say wakes nobody. */
	if (is_unheard(a, b) || is_unheard(b, a))
		relay_again(relay);
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct side *s = data;
	if (events & (EPOLLHUP | EPOLLERR))
		side_hang_up(s);
	relay_run(s->relay);
}

void relay_free(struct relay *relay)
{
	if (!relay)
		return;
	source_free(relay->deferred);
	for (int i = 0; i < 2; i++) {
		source_free(relay->sides[i].source);
		fd_close(relay->sides[i].fd);
		buffer_done(&relay->sides[i].to);
	}
	free(relay);
}

void relay_hold(struct relay *relay)
{
	relay->sides[0].head = HEAD_COMES;
}

void relay_on_parted(struct relay *relay, void (*parted)(void *data))
{
	relay->parted = parted;
}

int relay_new(struct loop *l, int a, int b, struct buffer *first_to_b, void (*ended)(struct relay *relay, void *data),
    void *data, struct relay **ret)
{
	struct relay *relay = xnew(struct relay);
	int fds[2] = { a, b }, result = 0;
	size_t first = first_to_b ? first_to_b->size : 0;
	relay->loop = l;
	relay->ended = ended;
	relay->data = data;
	for (int i = 0; i < 2; i++) {
		relay->sides[i].relay = relay;
		relay->sides[i].fd = fds[i];
		buffer_init(&relay->sides[i].to, MAX((size_t)RELAY_BUFFER, i ? first : 0));
		fd_set_nonblocking(fds[i], 1);
	}
	if (first)
		result = buffer_append(&relay->sides[1].to, first_to_b->data, first);
	for (int i = 0; i < 2 && result == 0; i++)
		result = loop_add_io(l, fds[i], 0, on_io, &relay->sides[i], &relay->sides[i].source);
	if (result == 0)
		result = relay_again(relay);
	if (result < 0) {
		relay_free(relay);
		return result;
	}
	if (ret)
		*ret = relay;
	return 0;
}
