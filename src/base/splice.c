/* SPDX-License-Identifier: Apache-2.0
 * Moves bytes both ways between two TCP sockets by splice(2): the pages go from one socket into a
 * pipe and from there into the other socket.
 *
 * Each direction has a pipe only while bytes wait in it, so an idle connection costs its two
 * sockets. A pipe is filled when it is empty: EAGAIN then always means that the source has nothing.
 * epoll is edge-triggered; `readable` and `blocked` remember what it said.
 *
 * A message of less than LITTLE is copied instead, as splice(2) takes a pipe and twice the calls. A
 * short read says that the source has nothing more, so no further read has to fail with EAGAIN. A
 * source that fills the buffer is spliced until it has little again.
 *
 * Each packet that is saved makes a short connection cheaper:
 * - A client that speaks first has often spoken when the inside is connected. Then TCP_QUICKACK is
 *   off, and its message carries the last acknowledgement of the handshake. The kernel would go on
 *   to delay acknowledgements, for which a service that writes in pieces waits 40 ms. So the option
 *   is on again behind the message.
 * - A little message whose source has ended waits for the shutdown(2) that follows at once: message
 *   and end are one packet.
 *
 * TCP_NODELAY is set before a side's second message, as nothing holds the first one back.
 *
 * splice(2) stops at urgent data (MSG_OOB) and does not go past it. recv(2) does, so such a byte is
 * read and goes into the pipe like any other; the other side does not hear that it is urgent. The
 * copy would leave the byte out if it were the first: epoll has said that it is not, and nothing
 * was read since.
 *
 * End of file becomes shutdown(2) on the other side once its pipe is empty. A reset side hands over
 * what it had sent, and then the other side is reset, too. */
#include "base/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

enum { CHUNK = 256 * 1024, LITTLE = 4096 /* any pipe takes that */, TURN_MAX = 8, PIPES_KEPT = 16 };

struct side {
	struct splice *splice;
	int fd; /* -1: none yet */
	struct source *source;
	int pipe[2];    /* of bytes on their way to this side; -1: none */
	size_t waiting; /* bytes in it */
	int readable;   /* until EAGAIN, or a short copy */
	int at_end;     /* all that will ever come is there */
	int ends_well;  /* and it was no reset */
	int fresh;      /* not read since epoll has said what is there: nothing urgent in front */
	int much;       /* the last read took LITTLE or more */
	int blocked;    /* takes nothing until EPOLLOUT */
	int urgent;     /* urgent data has come since recv(2) read past some */
	int sent, no_delay;
	int acks_late; /* TCP_QUICKACK is off until its first message */
	int read_ended, write_ended;
	int reset; /* by its far end */
};

struct splice {
	struct loop *loop;
	struct side client, inside;
	int connecting;
	struct source *deferred;
	struct splice_events events;
	void *data;
};

/* ---- pipes ---- */

/* Empty ones for the next connection, of this process. */
static struct {
	int pipes[PIPES_KEPT][2];
	size_t count;
} kept;

static int pipe_take(int ret[2])
{
	if (!kept.count)
		return pipe2(ret, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
	kept.count--;
	ret[0] = kept.pipes[kept.count][0];
	ret[1] = kept.pipes[kept.count][1];
	return 0;
}

/* An empty pipe is kept for the next one. */
static void pipe_give(struct side *s)
{
	int *p = s->pipe;
	if (p[0] >= 0 && !s->waiting && kept.count < PIPES_KEPT) {
		kept.pipes[kept.count][0] = p[0];
		kept.pipes[kept.count][1] = p[1];
		kept.count++;
	} else {
		fd_close(p[0]);
		fd_close(p[1]);
	}
	p[0] = p[1] = -1;
	s->waiting = 0;
}

/* ---- moving ---- */

static int is_busy(int code)
{
	return code == EAGAIN || code == EINTR;
}

/* The side takes nothing more: its far end is gone. */
static void stop_writing(struct side *s)
{
	s->write_ended = s->reset = 1;
	pipe_give(s);
}

static void set_tcp(int fd, int option, int value)
{
	setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

/* Called before and after each message to the side. */
static void before_message(struct side *s)
{
	if (s->sent && !s->no_delay) {
		set_tcp(s->fd, TCP_NODELAY, 1);
		s->no_delay = 1;
	}
	s->sent = 1;
}

static void after_message(struct side *s)
{
	if (s->acks_late)
		set_tcp(s->fd, TCP_QUICKACK, 1);
	s->acks_late = 0;
}

/* Moves what waits for the side: 1 nothing waits any more, 0 it takes no more now. */
static int drain(struct side *s)
{
	while (s->waiting && !s->blocked) {
		before_message(s);
		ssize_t n = splice(s->pipe[0], NULL, s->fd, NULL, s->waiting, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		int code = errno;
		after_message(s);
		if (n > 0)
			s->waiting -= (size_t)n;
		else if (n < 0 && code == EAGAIN)
			s->blocked = 1;
		else if (n == 0 || code != EINTR)
			stop_writing(s);
	}
	return !s->waiting;
}

/* Reads the byte that stopped splice(2), if that was urgent data. Its result, as splice(2). */
static ssize_t pass_urgent(struct side *from, const struct side *to)
{
	char byte;
	int one = 1;
	from->urgent = 0;
	setsockopt(from->fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
	ssize_t n = recv(from->fd, &byte, 1, MSG_DONTWAIT);
	return n > 0 ? write(to->pipe[1], &byte, 1) : n;
}

static void end_reading(struct side *s, int is_reset)
{
	s->read_ended = 1;
	s->reset |= is_reset;
}

/* Sends. Bytes that the side does not take now wait in a pipe. */
static void send_or_keep(struct side *to, struct side *from, const char *bytes, size_t size)
{
	before_message(to);
	ssize_t n = send(to->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL | (from->read_ended ? MSG_MORE : 0));
	int code = n < 0 ? errno : 0;
	after_message(to);
	if (code && !is_busy(code)) {
		stop_writing(to);
		return;
	}
	size_t sent = n < 0 ? 0 : (size_t)n;
	if (sent == size)
		return;
	to->blocked = code == EAGAIN;
	if ((to->pipe[0] < 0 && pipe_take(to->pipe) < 0) || (n = write(to->pipe[1], bytes + sent, size - sent)) < 0)
		end_reading(from, 1);
	else
		to->waiting = (size_t)n;
}

/* Reads once. */
static void copy_little(struct side *from, struct side *to)
{
	char bytes[LITTLE];
	ssize_t n = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	from->fresh = from->at_end;
	from->much = n == sizeof bytes;
	from->readable = from->at_end || from->much || (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && !is_busy(errno)) || (n > 0 && !from->much && from->ends_well))
		end_reading(from, n < 0);
	if (n > 0)
		send_or_keep(to, from, bytes, (size_t)n);
}

static void fill(struct side *from, struct side *to)
{
	if (from->fresh && !from->much && !from->urgent && !to->blocked) {
		copy_little(from, to);
		return;
	}
	if (to->pipe[0] < 0 && pipe_take(to->pipe) < 0) {
		end_reading(from, 1);
		return;
	}
	from->fresh = 0;
	ssize_t n = splice(from->fd, NULL, to->pipe[1], NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (from->urgent && (n == 0 || (n < 0 && errno == EAGAIN)))
		n = pass_urgent(from, to);
	if (n > 0) {
		to->waiting = (size_t)n;
		from->much = n >= LITTLE;
	} else if (n < 0 && is_busy(errno))
		from->readable = errno == EINTR;
	else
		end_reading(from, n < 0);
}

/* 1: there is more to do at once. */
static int pump(struct side *from, struct side *to)
{
	for (int i = 0; i < TURN_MAX && drain(to) && from->readable && !from->read_ended && !to->write_ended; i++)
		fill(from, to);
	if (!drain(to))
		return 0;
	pipe_give(to);
	if (from->read_ended && !from->reset && !to->write_ended) {
		/* close(2) says it, too, if that is the next call. */
		if (!from->write_ended || !to->read_ended)
			shutdown(to->fd, SHUT_WR);
		to->write_ended = 1;
	}
	return from->readable && !from->read_ended && !to->write_ended;
}

static int passed_on(const struct side *from, const struct side *to)
{
	return from->read_ended && (!to->waiting || to->write_ended);
}

static int is_over(const struct splice *s)
{
	const struct side *a = &s->client, *b = &s->inside;
	return (a->write_ended && b->write_ended) || (a->reset && passed_on(a, b)) || (b->reset && passed_on(b, a));
}

static void on_deferred(struct source *source, void *data);

static void run(struct splice *s)
{
	int more = pump(&s->client, &s->inside) | pump(&s->inside, &s->client);
	int failed = more && !s->deferred && loop_add_deferred(s->loop, on_deferred, s, &s->deferred) < 0;
	if (failed || is_over(s))
		s->events.ended(s->data);
}

static void on_deferred(struct source *source, void *data)
{
	struct splice *s = data;
	source_free(TAKE_PTR(s->deferred));
	run(s);
}

/* ---- events ---- */

static void side_init(struct side *side, struct splice *s, int fd)
{
	*side = (struct side){ .splice = s, .fd = fd, .pipe = { -1, -1 } };
}

/* The events of this socket are none of the next one. */
static void drop_inside(struct splice *s)
{
	source_free(s->inside.source);
	fd_close(s->inside.fd);
	side_init(&s->inside, s, -1);
}

static void on_connected(struct splice *s, int failed)
{
	int code = 0;
	socklen_t size = sizeof code;
	if (failed && getsockopt(s->inside.fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code) {
		drop_inside(s);
		s->events.refused(code, s->data);
		return;
	}
	s->connecting = 0;
	if (s->events.connected)
		s->events.connected(s->data);
	run(s);
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct side *side = data;
	struct splice *s = side->splice;
	side->blocked &= !(events & (EPOLLOUT | EPOLLHUP | EPOLLERR));
	side->readable |= (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	side->urgent |= (events & EPOLLPRI) != 0;
	side->at_end |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	side->ends_well = (events & EPOLLRDHUP) && !(events & (EPOLLHUP | EPOLLERR));
	side->fresh = (events & EPOLLIN) && !(events & EPOLLPRI);
	if (!s->connecting) {
		side->reset |= (events & EPOLLERR) && side->read_ended;
		run(s);
	} else if (side == &s->inside)
		on_connected(s, (events & (EPOLLHUP | EPOLLERR)) != 0);
	else if (events & (EPOLLHUP | EPOLLERR))
		s->events.ended(s->data);
}

static int watch(struct side *s)
{
	return loop_add_io(s->splice->loop, s->fd, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_io, s,
	    &s->source);
}

static int has_spoken(const struct side *client)
{
	char byte;
	return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

int splice_connect(struct splice *s, int fd, const struct sockaddr *to, socklen_t size)
{
	s->inside.fd = fd;
	s->inside.acks_late = has_spoken(&s->client);
	if (s->inside.acks_late)
		set_tcp(fd, TCP_QUICKACK, 0);
	int r = connect(fd, to, size) < 0 && errno != EINPROGRESS ? -errno : watch(&s->inside);
	if (r < 0)
		fd_close(TAKE_FD(s->inside.fd));
	return r;
}

int splice_inside(const struct splice *s)
{
	return s->inside.fd;
}

int splice_new(struct loop *l, int client, const struct splice_events *events, void *data, struct splice **ret)
{
	struct splice *s = xnew(struct splice);
	*s = (struct splice){ .loop = l, .connecting = 1, .events = *events, .data = data };
	side_init(&s->client, s, client);
	side_init(&s->inside, s, -1);
	int r = watch(&s->client);
	if (r < 0) {
		fd_close(client);
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void reset_connection(int fd)
{
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void splice_free(struct splice *s)
{
	if (!s)
		return;
	if (!s->client.write_ended || s->inside.reset)
		reset_connection(s->client.fd);
	if (s->inside.fd >= 0 && (!s->inside.write_ended || s->client.reset))
		reset_connection(s->inside.fd);
	source_free(s->deferred);
	source_free(s->client.source);
	source_free(s->inside.source);
	pipe_give(&s->client);
	pipe_give(&s->inside);
	fd_close(s->client.fd);
	fd_close(s->inside.fd);
	free(s);
}
