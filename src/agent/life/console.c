/* SPDX-License-Identifier: Apache-2.0
 * The master side of the init's terminal is always read, so that nothing inside ever blocks on its
 * console; what the keeper has not taken waits in a bounded buffer, of which the oldest part is
 * dropped. The keeper's stream is opened when there is something to say, and again, a moment later,
 * when it broke. */
#include "agent/life/console.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/core/kept.h"
#include "agent/core/platform.h"
#include "agent/core/upcall.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum { CONSOLE_BUFFER = 256 * 1024, CONSOLE_READ = 16 * 1024, RETRY_MS = 2000, READS_MAX = 16 };

struct console {
	struct agent *agent;
	int master, stream; /* stream -1: none */
	int edge;           /* the master is watched edge-triggered */
	struct buffer pending;
	struct upcall *call;
	struct source *master_source, *stream_source, *retry;
};

static void console_write(struct console *c);

static void stream_lost(struct console *c)
{
	source_free(TAKE_PTR(c->stream_source));
	fd_close(TAKE_FD(c->stream));
	source_set_timer(c->retry, clock_deadline(RETRY_MS));
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct console *c = data;
	if (events & (EPOLLHUP | EPOLLERR))
		stream_lost(c);
	else
		console_write(c);
}

static void on_opened(int fd, struct buffer *early, void *data)
{
	struct console *c = data;
	c->call = NULL;
	c->stream = fd;
	if (fd < 0 || loop_add_io(c->agent->loop, fd, EPOLLOUT, on_stream, c, &c->stream_source) < 0) {
		stream_lost(c);
		return;
	}
	console_write(c);
}

static void console_write(struct console *c)
{
	if (c->stream < 0) {
		if (!c->call && c->pending.size)
			upcall_start(c->agent, "/v1/console", on_opened, c, &c->call);
		return;
	}
	ssize_t n = c->pending.size ? buffer_write(&c->pending, c->stream) : 0;
	if (n < 0 && n != -EAGAIN && n != -EINTR) {
		stream_lost(c);
		return;
	}
	source_set_events(c->stream_source, c->pending.size ? EPOLLOUT : 0);
}

static void on_retry(struct source *s, void *data)
{
	console_write(data);
}

/* Adds to what is pending, at the price of the oldest. */
static void keep(struct console *c, const char *data, size_t size)
{
	if (c->pending.size + size > CONSOLE_BUFFER)
		buffer_consume(&c->pending, c->pending.size + size - CONSOLE_BUFFER);
	buffer_append(&c->pending, data, size);
}

/* 1 while there may be more. */
static int read_some(struct console *c)
{
	char data[CONSOLE_READ];
	ssize_t n = read(c->master, data, sizeof data);
	if (n > 0)
		keep(c, data, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void on_master(struct source *s, int fd, uint32_t events, void *data)
{
	struct console *c = data;
	int more = 1;
	for (int i = 0; more && i < READS_MAX; i++)
		more = read_some(c);
	/* While nobody has the terminal open the master only hangs up, again and again; a new
	 * opener is noticed at the next write of the init's, so the watch goes on edge-triggered.
	 * Setting it tells the present state once more: not without a reason. */
	if (more ? c->edge : !c->edge && (events & EPOLLHUP)) {
		c->edge = 1;
		source_set_events(s, EPOLLIN | EPOLLET);
	}
	if (c->pending.size)
		console_write(c);
}

void console_start(struct agent *a, int master, struct console **ret)
{
	struct console *c = xnew(struct console);
	*c = (struct console){ .agent = a, .master = master, .stream = -1 };
	struct winsize size = { .ws_row = 25, .ws_col = 80 };
	ioctl(master, TIOCSWINSZ, &size);
	buffer_init(&c->pending, CONSOLE_BUFFER);
	fd_set_nonblocking(master, 1);
	if (a->platform->is_respawned)
		kept_put(KEPT_CONSOLE, master);
	if (loop_add_timer(a->loop, UINT64_MAX, on_retry, c, &c->retry) < 0 ||
	    loop_add_io(a->loop, master, EPOLLIN, on_master, c, &c->master_source) < 0)
		log_error("the init's console cannot be read");
	*ret = c;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	while (read_some(c))
		;
	if (c->stream >= 0)
		(void)buffer_write(&c->pending, c->stream);
	upcall_cancel(c->call);
	source_free(c->master_source);
	source_free(c->stream_source);
	source_free(c->retry);
	fd_close(c->master);
	fd_close(c->stream);
	buffer_done(&c->pending);
	free(c);
}
