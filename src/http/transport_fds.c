/* SPDX-License-Identifier: Apache-2.0
 * The transport between two processes of one kernel. Packets over a SOCK_SEQPACKET pair: the first
 * byte says what it is, SCM_RIGHTS (unix(7)) carries the descriptor. The bytes of streams never
 * pass through here, so there is no copying, and a stream costs one packet.
 *
 *   'S'        a stream: the descriptor is its other end
 *   'G' bytes  a stream whose first bytes were read already
 *   'M' text   a message of the two programs, with or without a descriptor
 *
 * The other side may be taken over by what it runs, so a packet that is none of these, is too long
 * or has more than one descriptor ends the transport. Packets that do not fit into the socket wait
 * in a list and go out when it drains.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/transport_table.h"

enum { WAITING_MAX = 1024 };

struct packet {
	struct packet *next;
	int fd; /* owned; -1: none */
	size_t size;
	char bytes[];
};

struct transport_fds {
	struct transport base;
	int socket;
	struct source *source;
	struct loop *loop;
	struct transport_fds_events events;
	void *data;
	struct packet *first, **last;
	size_t waiting;
	int dead, code;
	const char *why;
	struct source *end;
	char buffer[1 + TRANSPORT_MESSAGE_MAX + 1];
};

static void tell_closed(struct source *s, void *data)
{
	struct transport_fds *t = data;
	source_free(TAKE_PTR(t->end));
	t->events.closed(t->code, t->why, t->data); /* may free t */
}

/* The owner is told from the loop, never in the middle of one of its own calls. */
static void die(struct transport_fds *t, int code, const char *why)
{
	if (t->dead)
		return;
	t->dead = 1;
	t->code = code;
	t->why = why;
	source_set_events(t->source, 0);
	loop_add_deferred(t->loop, tell_closed, t, &t->end);
}

static int send_packet(struct transport_fds *t, const struct packet *p)
{
	ssize_t n = fd_send_bytes(t->socket, p->bytes, p->size, &p->fd, p->fd >= 0, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

static void packet_free(struct packet *p)
{
	fd_close(p->fd);
	free(p);
}

/* Sends what waits, as far as it goes. */
static void flush(struct transport_fds *t)
{
	while (t->first) {
		struct packet *p = t->first;
		int r = send_packet(t, p);
		if (r == -EAGAIN)
			break;
		if (r < 0) {
			die(t, r, "cannot write to the other side");
			return;
		}
		t->first = p->next;
		if (!t->first)
			t->last = &t->first;
		t->waiting--;
		packet_free(p);
	}
	source_set_events(t->source, EPOLLIN | (t->first ? EPOLLOUT : 0));
}

/* Takes fd. */
static int post(struct transport_fds *t, char kind, const void *data, size_t size, int fd)
{
	int r = t->dead ? -EPIPE : size > TRANSPORT_MESSAGE_MAX ? -EMSGSIZE : t->waiting >= WAITING_MAX ? -ENOBUFS : 0;
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	struct packet *p = xmalloc(sizeof *p + 1 + size);
	*p = (struct packet){ .fd = fd, .size = 1 + size };
	p->bytes[0] = kind;
	if (size)
		memcpy(p->bytes + 1, data, size);
	*t->last = p;
	t->last = &p->next;
	t->waiting++;
	flush(t);
	return t->dead ? -EPIPE : 0;
}

/* Asked of the socket alone: fstat(2) of a file that the other side serves (FUSE) could keep us for
 * good. */
static int is_stream_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t domain_size = sizeof domain, type_size = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_STREAM;
}

static void handle(struct transport_fds *t, size_t size, int fd)
{
	t->buffer[size] = '\0';
	if (t->buffer[0] == 'M' && strlen(t->buffer) == size) {
		if (t->events.message)
			t->events.message(t->buffer + 1, fd, t->data);
		else
			fd_close(fd);
		return;
	}
	int is_stream = fd >= 0 && is_stream_socket(fd) && fd_set_nonblocking(fd, 1) >= 0;
	if (is_stream && t->buffer[0] == 'S' && size == 1 && t->events.accept) {
		t->events.accept(fd, t->data);
	} else if (is_stream && t->buffer[0] == 'G' && t->events.given) {
		t->events.given(fd, t->buffer + 1, size - 1, t->data);
	} else {
		fd_close(fd);
		die(t, -EPROTO, "protocol error: unexpected message from the other side");
	}
}

static void on_readable(struct transport_fds *t)
{
	struct fd_pass p;
	ssize_t n = fd_receive_bytes(t->socket, t->buffer, sizeof t->buffer - 1, 1, &p, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		die(t, n < 0 ? (int)n : -ECONNRESET, "the other side is gone");
		return;
	}
	if (p.truncated) {
		fd_pass_close(&p);
		die(t, -EPROTO, "protocol error: unexpected message from the other side");
		return;
	}
	handle(t, (size_t)n, p.count ? p.fds[0] : -1);
}

static void on_socket(struct source *s, int fd, uint32_t events, void *data)
{
	struct transport_fds *t = data;
	if (events & EPOLLOUT)
		flush(t);
	if (!t->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		on_readable(t);
}

static int fds_open(struct transport *base, int *ret_fd, struct error **err)
{
	struct transport_fds *t = (struct transport_fds *)base;
	int ends[2];
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a stream");
	AUTO_FD int ours = ends[0];
	r = fd_set_nonblocking(ours, 1);
	if (r < 0)
		fd_close(ends[1]);
	else
		r = post(t, 'S', NULL, 0, ends[1]);
	if (r < 0)
		return error_set_errno(err, r, "cannot open a stream");
	*ret_fd = TAKE_FD(ours);
	return 0;
}

static int fds_give(struct transport *base, int fd, const void *data, size_t size, struct error **err)
{
	struct transport_fds *t = (struct transport_fds *)base;
	if (size > TRANSPORT_GIVEN_MAX)
		return error_set(err, EOPNOTSUPP, "too much was read of the connection already");
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int r = copy < 0 ? -errno : post(t, 'G', data, size, copy);
	if (r < 0)
		return error_set_errno(err, r, "cannot hand a connection over");
	fd_close(fd);
	return 0;
}

static void fds_free(struct transport *base)
{
	struct transport_fds *t = (struct transport_fds *)base;
	while (t->first) {
		struct packet *p = t->first;
		t->first = p->next;
		packet_free(p);
	}
	source_free(t->source);
	source_free(t->end);
	fd_close(t->socket);
	free(t);
}

int transport_fds_send(struct transport *base, const char *text, int fd)
{
	AUTO_FD int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && copy < 0)
		return -errno;
	return post((struct transport_fds *)base, 'M', text, strlen(text), TAKE_FD(copy));
}

int transport_fds_new(struct loop *l, int socket, const struct transport_fds_events *events, void *data,
    struct transport **ret)
{
	static const struct transport_ops ops = { .open = fds_open, .give = fds_give, .free = fds_free };
	struct transport_fds *t = xnew(struct transport_fds);
	t->base.ops = &ops;
	t->socket = socket;
	t->loop = l;
	t->events = *events;
	t->data = data;
	t->last = &t->first;
	int r = fd_set_nonblocking(socket, 1);
	if (r >= 0)
		r = loop_add_io(l, socket, EPOLLIN, on_socket, t, &t->source);
	if (r < 0) {
		fds_free(&t->base);
		return r;
	}
	*ret = &t->base;
	return 0;
}
