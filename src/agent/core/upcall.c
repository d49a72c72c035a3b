/* SPDX-License-Identifier: Apache-2.0
 * The blocking client cannot be used here: the stream's other end is carried by our own loop. */
#include "agent/core/upcall.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { UPCALL_MS = 10 * 1000 };

struct upcall {
	int fd;
	struct buffer in, out;
	upcall_fn fn;
	void *data;
	struct source *io, *timer;
};

void upcall_cancel(struct upcall *u)
{
	if (!u)
		return;
	source_free(u->io);
	source_free(u->timer);
	fd_close(u->fd);
	buffer_done(&u->in);
	buffer_done(&u->out);
	free(u);
}

static void finish(struct upcall *u, int ok)
{
	int fd = ok ? TAKE_FD(u->fd) : -1;
	upcall_fn fn = u->fn;
	void *data = u->data;
	struct buffer early = u->in;
	buffer_init(&u->in, 0);
	upcall_cancel(u);
	fn(fd, &early, data);
	buffer_done(&early);
}

static void on_timer(struct source *s, void *data)
{
	finish(data, 0);
}

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct upcall *u = data;
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	ssize_t n;
	while (u->out.size) {
		n = buffer_write(&u->out, fd);
		if (n == -EAGAIN)
			return;
		if (n < 0 && n != -EINTR) {
			finish(u, 0);
			return;
		}
	}
	source_set_events(s, EPOLLIN);
	n = buffer_read(&u->in, fd, HTTP_HEAD_MAX);
	if (n == -EAGAIN || n == -EINTR)
		return;
	ssize_t used = n > 0 ? http_parse_response(u->in.data, u->in.size, &head, NULL) : -EPIPE;
	if (used == -EAGAIN)
		return;
	if (used > 0)
		buffer_consume(&u->in, (size_t)used);
	finish(u, used > 0 && head.status == 101);
}

void upcall_start(struct agent *a, const char *target, upcall_fn fn, void *data, struct upcall **ret)
{
	struct upcall *u = xnew(struct upcall);
	*u = (struct upcall){ .fd = -1, .fn = fn, .data = data };
	buffer_init(&u->in, 2 * HTTP_HEAD_MAX);
	buffer_init(&u->out, HTTP_HEAD_MAX);
	buffer_appendf(&u->out,
	    "POST %s HTTP/1.1\r\nHost: holm\r\nConnection: Upgrade\r\nUpgrade: holm-stream\r\nContent-Length: "
	    "0\r\n\r\n",
	    target);
	if (ret)
		*ret = u;
	int failed = !a->to_keeper || transport_open(a->to_keeper, &u->fd, NULL) < 0 ||
		     fd_set_nonblocking(u->fd, 1) < 0 ||
		     loop_add_io(a->loop, u->fd, EPOLLOUT | EPOLLIN, on_io, u, &u->io) < 0;
	loop_add_timer(a->loop, failed ? 0 : clock_deadline(UPCALL_MS), on_timer, u, &u->timer);
}
