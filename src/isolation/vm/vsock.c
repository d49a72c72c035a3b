/* SPDX-License-Identifier: Apache-2.0
 * The transport "vsock", by setting only; it needs /dev/vhost-vsock and has not been tried on
 * hardware.
 *
 * We listen on a port of our choice, which the kernel's command line names (holm.vsock-port); the
 * agent connects twice. Any local process and any guest of this host can connect there too, so a
 * connection must come from our guest's context id and begin with a line "keeper SECRET" or "agent
 * SECRET": which direction it serves, and a secret made for this boot that only the guest gets
 * (fw_cfg, by a descriptor). After that line it is what a serial port is: a pipe with a multiplexer
 * on it.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/accept.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "isolation/vm/run.h"

enum { SECRET_BYTES = 16, HELLO_MAX = 64, HELLO_MS = 5000, GUESTS_MAX = 4, CID_FIRST = 1024 };

struct guest { /* a connection that has not said who it is */
	struct vsock *owner;
	int fd;
	struct source *source, *timer;
};

struct direction {
	struct vsock *owner;
	struct transport *mux;
	struct source *broken;
};

struct vsock {
	struct isolation_run *run;
	uint32_t cid;
	int fd;
	struct source *source;
	char secret[2 * SECRET_BYTES + 1];
	struct guest guests[GUESTS_MAX];
	struct direction directions[2]; /* keeper's, agent's */
};

static void guest_drop(struct guest *g)
{
	source_free(g->source);
	source_free(g->timer);
	fd_close(g->fd);
	*g = (struct guest){ .owner = g->owner, .fd = -1 };
}

static void on_accept(int fd, void *data)
{
	struct direction *d = data;
	d->owner->run->events.accepted(fd, d->owner->run->data);
}

static void on_broken(struct source *s, void *data)
{
	struct direction *d = data;
	struct isolation_run *run = d->owner->run;
	source_free(d->broken);
	d->broken = NULL;
	if (d == &d->owner->directions[0])
		run->events.lost("the agent closed its connection", run->data);
	transport_free(d->mux);
	d->mux = NULL;
}

static void on_closed(int code, const char *why, void *data)
{
	struct direction *d = data;
	if (!d->broken)
		loop_add_deferred(d->owner->run->loop, on_broken, d, &d->broken);
}

/* The length of the first line including its end, 0 while it is not complete. The rest stays in the
 * socket: it is the multiplexer's. */
static ssize_t peek_line(int fd, char *line)
{
	ssize_t n = recv(fd, line, HELLO_MAX, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	const char *end = memchr(line, '\n', (size_t)n);
	if (!end)
		return n == HELLO_MAX ? -EPROTO : 0;
	return end - line + 1;
}

static int same_secret(const char *a, const char *b)
{
	unsigned difference = strlen(a) != strlen(b);
	for (size_t i = 0; a[i] && b[i]; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}

static void serve(struct vsock *v, int which, int fd)
{
	struct isolation_run *run = v->run;
	struct direction *d = &v->directions[which];
	if (d->mux) {
		fd_close(fd);
		return;
	}
	int result =
	    transport_mux_new(run->loop, fd, which == 0 ? MUX_CLIENT : MUX_SERVER, on_accept, on_closed, d, &d->mux);
	if (result < 0)
		run_fail(run, result, "cannot talk to the machine's agent: %s", strerror(-result));
	else if (which == 0)
		run->events.connected(d->mux, run->data);
}

static void on_guest(struct source *s, int fd, uint32_t events, void *data)
{
	struct guest *g = data;
	struct vsock *v = g->owner;
	char line[HELLO_MAX + 1];
	ssize_t n = peek_line(fd, line);
	if (n == 0)
		return;
	if (n < 0 || recv(fd, line, (size_t)n, 0) != n) {
		guest_drop(g);
		return;
	}
	line[n - 1] = '\0';
	const char *secret;
	int which = (secret = startswith(line, "keeper ")) ? 0 : (secret = startswith(line, "agent ")) ? 1 : -1;
	if (which < 0 || !same_secret(secret, v->secret)) {
		log_warning("a vsock connection without this boot's secret was refused");
		guest_drop(g);
		return;
	}
	int taken = TAKE_FD(g->fd);
	guest_drop(g);
	serve(v, which, taken);
}

static void on_guest_late(struct source *s, void *data)
{
	guest_drop(data);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	struct vsock *v = data;
	struct sockaddr_vm peer = { 0 };
	socklen_t size = sizeof(peer);
	AUTO_FD int connection = accept_connection(s, fd);
	if (connection < 0 || getpeername(connection, (struct sockaddr *)&peer, &size) < 0 ||
	    peer.svm_family != AF_VSOCK || peer.svm_cid != v->cid)
		return;
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct guest *g = &v->guests[i];
		if (g->fd >= 0)
			continue;
		g->fd = TAKE_FD(connection);
		if (loop_add_io(v->run->loop, g->fd, EPOLLIN, on_guest, g, &g->source) < 0 ||
		    loop_add_timer(v->run->loop, clock_deadline(HELLO_MS), on_guest_late, g, &g->timer) < 0)
			guest_drop(g);
		return;
	}
}

static int make_secret(struct vsock *v, int *ret_fd)
{
	unsigned char bytes[SECRET_BYTES];
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(v->secret + 2 * i, 3, "%02x", bytes[i]);
	AUTO_FD int fd = memfd_create("holm-secret", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int result = fd_write_full(fd, v->secret, strlen(v->secret));
	if (result >= 0)
		*ret_fd = TAKE_FD(fd);
	return result;
}

static int listen_anywhere(struct vsock *v, uint32_t *ret_port)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY };
	socklen_t size = sizeof(address);
	v->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->fd < 0 || bind(v->fd, (struct sockaddr *)&address, size) < 0 || listen(v->fd, GUESTS_MAX) < 0 ||
	    getsockname(v->fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	*ret_port = address.svm_port;
	return loop_add_io(v->run->loop, v->fd, EPOLLIN, on_connection, v, &v->source);
}

int vsock_open(struct isolation_run *run, uint32_t *ret_cid, uint32_t *ret_port, int *ret_secret_fd, struct error **err)
{
	if (access("/dev/vhost-vsock", R_OK | W_OK) < 0)
		return error_set_errno(err, errno,
		    "the transport \"vsock\" needs /dev/vhost-vsock (load vhost_vsock, join the group kvm), or set "
		    "transport=serial");
	struct vsock *v = run->vsock = xnew(struct vsock);
	v->run = run;
	v->fd = -1;
	for (size_t i = 0; i < GUESTS_MAX; i++)
		v->guests[i] = (struct guest){ .owner = v, .fd = -1 };
	v->directions[0].owner = v->directions[1].owner = v;
	if (getrandom(&v->cid, sizeof(v->cid), 0) != sizeof(v->cid))
		return error_set(err, EIO, "no random numbers");
	v->cid = CID_FIRST + v->cid % 0x7fffffff;
	int result = listen_anywhere(v, ret_port);
	if (result >= 0)
		result = make_secret(v, ret_secret_fd);
	if (result < 0)
		return error_set_errno(err, result, "cannot listen for the machine's agent by vsock");
	*ret_cid = v->cid;
	return 0;
}

void vsock_done(struct isolation_run *run)
{
	struct vsock *v = run->vsock;
	if (!v)
		return;
	for (size_t i = 0; i < GUESTS_MAX; i++)
		guest_drop(&v->guests[i]);
	for (size_t i = 0; i < ARRAY_SIZE(v->directions); i++) {
		source_free(v->directions[i].broken);
		transport_free(v->directions[i].mux);
	}
	source_free(v->source);
	fd_close(v->fd);
	free(v);
	run->vsock = NULL;
}
