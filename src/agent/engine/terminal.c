/* SPDX-License-Identifier: Apache-2.0
 * See terminal.h. Only processes of the engine's mount namespace find the socket. */
#include "agent/engine/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { RECEIVE_MS = 1000 };

struct terminal {
	int fd;
	struct source *source;
	struct sockaddr_un address;
	terminal_fn fn;
	void *data;
};

void terminal_take(struct terminal *t)
{
	int master = -1;
	size_t count = 0;
	AUTO_FD int connection = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
	if (connection >= 0 && fd_wait(connection, POLLIN, clock_deadline(RECEIVE_MS)) > 0 &&
	    fd_receive(connection, &master, 1, &count) == 0 && count == 1)
		t->fn(master, t->data);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	terminal_take(data);
}

static int listen_at(const struct sockaddr_un *address)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(address->sun_path);
	return fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 || listen(fd, 1) < 0 ?
		   -errno :
		   TAKE_FD(fd);
}

int terminal_listen(const char *path, struct error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = size >= (int)sizeof address.sun_path ? -ENAMETOOLONG : listen_at(&address);
	return fd < 0 ? error_set_errno(err, fd, "cannot make a socket for a terminal") : fd;
}

struct terminal *terminal_new(struct engine *e, terminal_fn fn, void *data, struct error **err)
{
	static unsigned number;
	struct terminal *t = xnew(struct terminal);
	*t = (struct terminal){ .address = { .sun_family = AF_UNIX }, .fn = fn, .data = data };
	snprintf(t->address.sun_path, sizeof t->address.sun_path, "/run/console.%u", number++);
	t->fd = listen_at(&t->address);
	int r = t->fd < 0 ? t->fd : loop_add_io(e->loop, t->fd, EPOLLIN, on_connection, t, &t->source);
	if (r < 0) {
		error_set_errno(err, r, "cannot make a socket for a terminal");
		terminal_free(t);
		return NULL;
	}
	return t;
}

const char *terminal_path(const struct terminal *t)
{
	return t->address.sun_path;
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	source_free(t->source);
	fd_close(t->fd);
	unlink(t->address.sun_path);
	free(t);
}
