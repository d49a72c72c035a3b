/* SPDX-License-Identifier: Apache-2.0
 * See pump.h. Bytes move by splice(2), without a copy, where one side is a pipe, as ssh(1) has it.
 * Other programs give sockets; their bytes are copied.
 *
 * A way waits for one of its two descriptors at a time. A hang-up is an event that nobody can turn
 * off, so the source of the other one does not exist meanwhile. */
#include "ssh/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"

enum { CHUNK = 256 * 1024, TURNS = 8, SOCKET_BUFFER = 1024 * 1024 };

struct way {
	struct pump *pump;
	int from, to;
	struct source *source;
	int waits_for; /* the descriptor of the source; -1 */
	int copies;    /* splice(2) does not know these descriptors */
	struct buffer held;
	int ended;
};

struct pump {
	struct loop *loop;
	int peers[2]; /* the other end of libssh's socket, once for each way */
	struct way in, out;
	void (*on_ended)(void *data);
	void *data;
};

/* Bytes moved, 0 at the end, -errno. */
static ssize_t move(struct way *w)
{
	if (!w->copies) {
		ssize_t n = splice(w->from, NULL, w->to, NULL, CHUNK, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n >= 0 || errno != EINVAL)
			return n < 0 ? -errno : n;
		w->copies = 1;
	}
	if (w->held.size == 0) {
		ssize_t n = buffer_read(&w->held, w->from, CHUNK);
		if (n <= 0)
			return n;
	}
	return buffer_write(&w->held, w->to);
}

static void advance(struct way *w);

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	advance(data);
}

static int is_readable(const struct way *w)
{
	struct pollfd p = { .fd = w->from, .events = POLLIN };
	return w->held.size || poll(&p, 1, 0) > 0;
}

static void end_way(struct way *w)
{
	struct pump *p = w->pump;
	source_free(TAKE_PTR(w->source));
	w->ended = 1;
	if (w == &p->in)
		shutdown(w->to, SHUT_WR);
	else
		p->on_ended(p->data);
}

/* 0 or -errno. */
static int wait_for(struct way *w, int fd)
{
	if (w->waits_for == fd)
		return 0;
	source_free(TAKE_PTR(w->source));
	w->waits_for = fd;
	return loop_add_io(w->pump->loop, fd, fd == w->from ? EPOLLIN : EPOLLOUT, on_io, w, &w->source);
}

static void advance(struct way *w)
{
	ssize_t n = 1;
	for (int i = 0; i < TURNS && (n > 0 || n == -EINTR); i++)
		n = move(w);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		end_way(w);
		return;
	}
	if (n == -EAGAIN && wait_for(w, is_readable(w) ? w->to : w->from) < 0)
		end_way(w);
}

static int start_way(struct pump *p, struct way *w, int from, int to)
{
	*w = (struct way){ .pump = p, .from = from, .to = to, .waits_for = -1 };
	buffer_init(&w->held, CHUNK);
	return wait_for(w, from);
}

int pump_new(struct loop *l, int in, int out, void (*ended)(void *data), void *data, struct pump **ret, int *ret_socket)
{
	int ends[2], size = SOCKET_BUFFER, r = fd_socketpair(SOCK_STREAM | SOCK_NONBLOCK, ends);
	if (r < 0)
		return r;
	AUTO_FD int ours = ends[0];
	CLEANUP(pump_freep) struct pump *p = xnew(struct pump);
	*p = (struct pump){ .loop = l, .on_ended = ended, .data = data };
	p->peers[0] = ends[1];
	p->peers[1] = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
	if (p->peers[1] < 0)
		return -errno;
	/* The kernel allows less. */
	setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if ((r = fd_set_nonblocking(in, 1)) < 0 || (r = fd_set_nonblocking(out, 1)) < 0 ||
	    (r = start_way(p, &p->in, in, p->peers[0])) < 0 || (r = start_way(p, &p->out, p->peers[1], out)) < 0)
		return r;
	*ret = TAKE_PTR(p);
	*ret_socket = TAKE_FD(ours);
	return 0;
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	source_free(p->in.source);
	source_free(p->out.source);
	buffer_done(&p->in.held);
	buffer_done(&p->out.held);
	fd_close(p->peers[0]);
	fd_close(p->peers[1]);
	free(p);
}
