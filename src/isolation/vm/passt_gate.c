/* SPDX-License-Identifier: Apache-2.0
 * passt connects to whatever address a packet has, so root in the guest who routes 127.0.0.0/8 to
 * the network device would reach what listens on the host's loopback. So QEMU's socket does not
 * lead to passt but to us: frames (32-bit big-endian length in front, as QEMU's stream and passt
 * write them) pass from one to the other, and those that are meant for the host itself are left out
 * on the way (user_network_allows()).
 *
 * The guest's frames are looked at where they lie and written on from there, as many as are whole,
 * so the detour costs one copy. What comes from passt is not looked at. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "isolation/vm/run.h"
#include "isolation/vm/user_network.h"

enum { FRAME_MAX = 68 * 1024, BACKLOG_MAX = 512 * 1024, READ_MAX = 256 * 1024, LENGTH = 4 };

struct direction {
	struct buffer bytes; /* read from one end, to be written to the other */
	size_t passed;       /* of them, at the front: whole frames that may go on */
	int filtered;
};

struct passt_gate {
	struct isolation_run *run;
	int fds[2]; /* QEMU's, passt's: our ends */
	struct source *sources[2];
	struct direction directions[2]; /* from QEMU, from passt */
	int over;
};

static uint32_t frame_size(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Moves `passed` past every whole frame that may go on. A refused one is dropped once all before it
 * are written. -EPROTO. */
static int judge(struct direction *d)
{
	if (!d->filtered) {
		d->passed = d->bytes.size;
		return 0;
	}
	while (d->bytes.size - d->passed >= LENGTH) {
		const char *frame = d->bytes.data + d->passed;
		uint32_t size = frame_size(frame);
		if (size > FRAME_MAX)
			return -EPROTO;
		if (d->bytes.size - d->passed < LENGTH + size)
			break;
		if (user_network_allows((const uint8_t *)frame + LENGTH, size))
			d->passed += LENGTH + size;
		else if (d->passed == 0)
			buffer_consume(&d->bytes, LENGTH + size);
		else
			break;
	}
	return 0;
}

/* Writes what may go on, as far as the other end takes it. */
static int pass(struct direction *d, int to)
{
	int r;
	while ((r = judge(d)) >= 0 && d->passed > 0) {
		ssize_t n = send(to, d->bytes.data, d->passed, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buffer_consume(&d->bytes, (size_t)n);
		d->passed -= (size_t)n;
	}
	return r;
}

static void set_events(struct passt_gate *g)
{
	for (int i = 0; i < 2; i++) {
		uint32_t events = g->directions[i].bytes.size < BACKLOG_MAX - READ_MAX ? EPOLLIN : 0;
		source_set_events(g->sources[i], events | (g->directions[!i].passed > 0 ? EPOLLOUT : 0));
	}
}

/* One end is gone: the other is told, and what that means is decided where processes end. */
static void end(struct passt_gate *g)
{
	g->over = 1;
	for (int i = 0; i < 2; i++) {
		source_set_events(g->sources[i], 0);
		shutdown(g->fds[i], SHUT_RDWR);
	}
}

static void turn(struct passt_gate *g, int from)
{
	struct direction *in = &g->directions[from], *out = &g->directions[!from];
	ssize_t n = in->bytes.size < BACKLOG_MAX - READ_MAX ? buffer_read(&in->bytes, g->fds[from], READ_MAX) : -EAGAIN;
	int r = n == 0 ? -EPIPE : n < 0 && n != -EAGAIN && n != -EINTR ? (int)n : pass(in, g->fds[!from]);
	if (r >= 0)
		r = pass(out, g->fds[from]);
	if (r == -EPROTO)
		run_fail(g->run, r, "the virtual machine's network sends an impossible frame");
	if (r < 0)
		end(g);
	else
		set_events(g);
}

static void on_qemu(struct source *s, int fd, uint32_t events, void *data)
{
	struct passt_gate *g = data;
	if (!g->over)
		turn(g, 0);
}

static void on_passt(struct source *s, int fd, uint32_t events, void *data)
{
	struct passt_gate *g = data;
	if (!g->over)
		turn(g, 1);
}

int passt_gate_open(struct isolation_run *run, int *network, struct error **err)
{
	int pair[2];
	int result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the network");
	AUTO_FD int theirs = pair[1];
	struct passt_gate *g = run->passt_gate = xnew(struct passt_gate);
	*g = (struct passt_gate){ .run = run, .fds = { pair[0], *network } };
	*network = TAKE_FD(theirs);
	for (int i = 0; i < 2; i++) {
		g->directions[i].filtered = i == 0;
		buffer_init(&g->directions[i].bytes, BACKLOG_MAX + READ_MAX);
		fd_set_nonblocking(g->fds[i], 1);
	}
	result = loop_add_io(run->loop, g->fds[0], EPOLLIN, on_qemu, g, &g->sources[0]);
	if (result >= 0)
		result = loop_add_io(run->loop, g->fds[1], EPOLLIN, on_passt, g, &g->sources[1]);
	return result < 0 ? error_set_errno(err, result, "cannot watch the network") : 0;
}

void passt_gate_done(struct isolation_run *run)
{
	struct passt_gate *g = TAKE_PTR(run->passt_gate);
	for (int i = 0; g && i < 2; i++) {
		source_free(g->sources[i]);
		fd_close(g->fds[i]);
		buffer_done(&g->directions[i].bytes);
	}
	free(g);
}
