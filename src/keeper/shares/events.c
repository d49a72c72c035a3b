/* SPDX-License-Identifier: Apache-2.0
 * The relay of share events. A packet of the server becomes a frame on the agent's stream, and vice
 * versa. The keeper does not read payloads. It writes one itself: when the agent's stream ends, it
 * tells the server that there is no replayer, because another process may get the replayer's
 * process id then.
 *
 * While one side is full, the keeper does not read from the other. Without an agent it drops
 * packets, because a new agent sends its watches first. */
#include "keeper/shares/events.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/share_events.h"

enum { OUT_MAX = 64 * 1024, IN_MAX = 64 * 1024, TURN_MAX = 64 };

struct share_events {
	struct loop *loop;
	int server, stream; /* -1: none */
	struct source *server_source, *stream_source;
	struct buffer in, out; /* of the stream */
	int farewell;          /* the server is still to be told that the last stream ended */
	int blocked;           /* the server takes nothing */
};

static void update(struct share_events *e)
{
	int waits = e->blocked || e->farewell;
	if (e->server_source)
		source_set_events(e->server_source, (e->out.size < OUT_MAX ? EPOLLIN : 0) | (waits ? EPOLLOUT : 0));
	if (e->stream_source)
		source_set_events(e->stream_source, (waits ? 0 : EPOLLIN) | (e->out.size ? EPOLLOUT : 0));
}

static void close_stream(struct share_events *e)
{
	source_free(TAKE_PTR(e->stream_source));
	fd_close(TAKE_FD(e->stream));
	buffer_done(&e->in);
	buffer_done(&e->out);
}

static void close_server(struct share_events *e)
{
	close_stream(e);
	source_free(TAKE_PTR(e->server_source));
	fd_close(TAKE_FD(e->server));
}

/* One packet: 1; 0 when the server takes none now; -errno when it is gone. */
static int send_packet(struct share_events *e, const void *payload, size_t size)
{
	ssize_t n;
	do
		n = e->server < 0 ? (errno = EPIPE, -1) : send(e->server, payload, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 1;
	return errno == EAGAIN ? 0 : -errno;
}

static void say_farewell(struct share_events *e)
{
	static const struct share_hello nobody = { .type = SHARE_HELLO, .version = SHARE_EVENTS_VERSION };
	if (e->farewell && send_packet(e, &nobody, sizeof nobody) != 0)
		e->farewell = 0;
}

static void end_stream(struct share_events *e)
{
	close_stream(e);
	e->blocked = 0;
	e->farewell = 1;
	say_farewell(e);
}

/* The whole frames that have come go to the server, as far as it takes them. */
static void deliver(struct share_events *e)
{
	const void *payload;
	ssize_t size;
	say_farewell(e);
	e->blocked = 0;
	while (!e->farewell && !e->blocked && e->stream >= 0 && (size = share_frame_next(&e->in, &payload)) != 0) {
		int r = size < 0 ? (int)size : send_packet(e, payload, (size_t)size);
		if (r < 0) {
			log_warning("the agent's stream of a share's events is closed: %s", strerror(-r));
			end_stream(e);
		} else if (r == 0) {
			e->blocked = 1;
		} else {
			share_frame_drop(&e->in, (size_t)size);
		}
	}
}

static void read_stream(struct share_events *e)
{
	for (int i = 0; i < TURN_MAX && e->stream >= 0 && !e->blocked && !e->farewell; i++) {
		ssize_t n = buffer_read(&e->in, e->stream, SHARE_PAYLOAD_MAX);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n > 0)
			deliver(e);
		else
			end_stream(e);
	}
}

static void write_stream(struct share_events *e)
{
	while (e->stream >= 0 && e->out.size) {
		ssize_t n = buffer_write(&e->out, e->stream);
		if (n == -EAGAIN)
			return;
		if (n < 0 && n != -EINTR)
			end_stream(e);
	}
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct share_events *e = data;
	write_stream(e);
	/* Of an agent that has gone nothing that is still on its way matters. */
	if (events & (EPOLLHUP | EPOLLERR) && e->stream >= 0)
		end_stream(e);
	read_stream(e);
	update(e);
}

/* One packet of the server's: whether there was one. */
static int read_packet(struct share_events *e)
{
	char packet[SHARE_PAYLOAD_MAX];
	ssize_t n = recv(e->server, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_server(e);
		return 0;
	}
	if (n > SHARE_PAYLOAD_MAX)
		log_warning("a message of a share's server is too long: %zd bytes", n);
	else if (e->stream >= 0)
		share_frame_append(&e->out, packet, (size_t)n);
	return 1;
}

static void on_server(struct source *s, int fd, uint32_t events, void *data)
{
	struct share_events *e = data;
	for (int i = 0; i < TURN_MAX && e->out.size < OUT_MAX && read_packet(e); i++)
		;
	if (events & (EPOLLHUP | EPOLLERR) && e->server >= 0)
		close_server(e);
	deliver(e);
	write_stream(e);
	update(e);
}

void share_events_attach(struct share_events *e, int fd, const struct buffer *early)
{
	if (e->stream >= 0)
		end_stream(e);
	if (e->server < 0 || buffer_append(&e->in, early->data, early->size) < 0 ||
	    loop_add_io(e->loop, fd, EPOLLIN, on_stream, e, &e->stream_source) < 0) {
		buffer_done(&e->in);
		fd_close(fd);
		return;
	}
	e->stream = fd;
	deliver(e);
	update(e);
}

int share_events_new(struct loop *l, struct share_events **ret, int *ret_server)
{
	int ends[2];
	int r = fd_socketpair(SOCK_SEQPACKET, ends);
	if (r < 0)
		return r;
	struct share_events *e = xnew(struct share_events);
	*e = (struct share_events){ .loop = l, .server = ends[0], .stream = -1 };
	buffer_init(&e->in, IN_MAX);
	buffer_init(&e->out, OUT_MAX + SHARE_PAYLOAD_MAX + sizeof(uint32_t));
	if ((r = loop_add_io(l, e->server, EPOLLIN, on_server, e, &e->server_source)) < 0) {
		share_events_free(e);
		fd_close(ends[1]);
		return r;
	}
	*ret = e;
	*ret_server = ends[1];
	return 0;
}

void share_events_free(struct share_events *e)
{
	if (!e)
		return;
	close_server(e);
	free(e);
}
