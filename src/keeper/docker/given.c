/* SPDX-License-Identifier: Apache-2.0
 * Connections to docker.sock that another program of the user has accepted (`holm system
 * docker-socket`, for a socket of systemd). The program upgrades POST /holm/connections, then
 * passes descriptors, one with each byte. A byte back says that the keeper has the connection;
 * from then on it is like one that the keeper has accepted itself. Without that byte nothing of it
 * was read, so the program may give it to another keeper. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

enum { GIVERS_MAX = 16 };

struct giver {
	struct giver *next;
	struct keeper *keeper;
	struct http_server *server;
	int fd;
	struct source *source;
};

/* A keeper has one docker.sock. */
static struct {
	struct giver *first;
	unsigned count;
} givers;

static void giver_free(struct giver *g)
{
	struct giver **at = &givers.first;
	while (*at && *at != g)
		at = &(*at)->next;
	if (*at) {
		*at = g->next;
		givers.count--;
	}
	source_free(g->source);
	fd_close(g->fd);
	free(g);
}

static int is_own(int fd)
{
	struct ucred who;
	socklen_t size = sizeof who;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid();
}

/* Serves the connection that comes next. 0, or -errno: the giver has to go. */
static int take_one(const struct giver *g)
{
	int fd = -1;
	size_t count = 0;
	char byte = 0;
	int r = fd_receive(g->fd, &fd, 1, &count);
	if (r < 0)
		return r;
	if (count == 0 || !is_own(fd)) {
		fd_close(count ? fd : -1);
		return -EPERM;
	}
	r = g->keeper->stage >= STAGE_STOPPING ? (fd_close(fd), -ECANCELED) : http_server_serve(g->server, fd);
	return r < 0 ? r : fd_write_full(g->fd, &byte, 1);
}

static void on_readable(struct source *s, int fd, uint32_t events, void *data)
{
	(void)s, (void)fd, (void)events;
	int r = take_one(data);
	if (r == -EAGAIN)
		return;
	if (r < 0 && r != -ECONNRESET)
		log_warning("a connection to docker.sock was not taken: %s", strerror(-r));
	if (r < 0)
		giver_free(data);
}

static int check(const struct docker_request *q, struct error **err)
{
	if (q->keeper->stage >= STAGE_STOPPING)
		return error_set(err, ENOTCONN, "machine \"%s\" is stopping", q->keeper->machine->name);
	if (givers.count >= GIVERS_MAX)
		return error_set(err, EBUSY, "too many programs pass connections to machine \"%s\"",
		    q->keeper->machine->name);
	return 0;
}

void docker_take_connections(struct docker_request *q, struct http_server *server)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer early = { 0 };
	struct giver *g;
	int fd, r = check(q, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	struct keeper *k = q->keeper;
	r = http_upgrade(q->exchange, "holm-connections", &fd, &early);
	docker_request_free(q);
	if (r < 0)
		return;
	g = xnew(struct giver);
	*g = (struct giver){ .next = givers.first, .keeper = k, .server = server, .fd = fd };
	givers.first = g;
	givers.count++;
	if (loop_add_io(keeper_loop(k), fd, EPOLLIN, on_readable, g, &g->source) < 0)
		giver_free(g);
}

void docker_givers_done(void)
{
	while (givers.first)
		giver_free(givers.first);
}
