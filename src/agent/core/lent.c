/* SPDX-License-Identifier: Apache-2.0
 * See lent.h. */
#include "agent/core/lent.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/core/upcall.h"
#include "base/accept.h"
#include "base/alloc.h"
#include "base/fd.h"

struct connection {
	struct lent *owner;
	struct connection *next;
	int fd;
	struct upcall *call;
	struct relay *relay;
};

struct lent {
	struct agent *agent;
	int listening;
	int64_t id;
	struct source *source;
	struct connection *connections;
	size_t count, max;
};

static void connection_release(struct connection *c)
{
	upcall_cancel(c->call);
	relay_free(c->relay);
	fd_close(c->fd);
	free(c);
}

static void connection_free(struct connection *c)
{
	struct lent *l = c->owner;
	for (struct connection **at = &l->connections; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			l->count--;
			break;
		}
	}
	connection_release(c);
}

static void on_relay_ended(struct relay *relay, void *data)
{
	connection_free(data);
}

static void on_opened(int fd, struct buffer *early, void *data)
{
	struct connection *c = data;
	c->call = NULL;
	/* a: the keeper's side, so that its early bytes go first to the client inside (b). */
	if (fd < 0 || relay_new(c->owner->agent->loop, fd, TAKE_FD(c->fd), early, on_relay_ended, c, &c->relay) < 0)
		connection_free(c);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	struct lent *l = data;
	int accepted = accept_connection(s, fd);
	if (accepted < 0)
		return;
	if (l->count >= l->max) {
		fd_close(accepted);
		return;
	}
	struct connection *c = xnew(struct connection);
	*c = (struct connection){ .owner = l, .next = l->connections, .fd = accepted };
	l->connections = c;
	l->count++;
	AUTOFREE char *target = xasprintf("/v1/relay/socket?id=%lld", (long long)l->id);
	upcall_start(l->agent, target, on_opened, c, &c->call);
}

static int is_listening(int fd)
{
	int listening = 0;
	socklen_t size = sizeof listening;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

struct lent *lent_new(struct agent *a, int listening, int64_t id, size_t max)
{
	if (!is_listening(listening) || fd_set_nonblocking(listening, 1) < 0) {
		fd_close(listening);
		return NULL;
	}
	struct lent *l = xnew(struct lent);
	*l = (struct lent){ .agent = a, .listening = listening, .id = id, .max = max };
	loop_add_io(a->loop, listening, EPOLLIN, on_connection, l, &l->source);
	return l;
}

void lent_free(struct lent *l)
{
	if (!l)
		return;
	for (struct connection *c = l->connections, *next; c; c = next) {
		next = c->next;
		connection_release(c);
	}
	source_free(l->source);
	fd_close(l->listening);
	free(l);
}
