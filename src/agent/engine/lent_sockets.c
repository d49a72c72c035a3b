/* SPDX-License-Identifier: Apache-2.0
 * See lent_sockets.h. The folder is the engine's own: no container sees it. */
#include "agent/engine/lent_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/engine/hijack.h"
#include "agent/engine/namespaces.h"
#include "base/accept.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

enum { BACKLOG = 64, OFFERS_MAX = 16, PAIRS_MAX = 64 };

/* A client that waits for a connection inside. */
struct offer {
	struct offer *next;
	struct lent_socket *socket;
	struct http_exchange *exchange;
};

/* A connection inside, and its client. */
struct pair {
	struct pair *next;
	struct lent_socket *socket;
	struct relay *relay;
};

struct lent_socket {
	struct lent_socket *next;
	struct engine *engine;
	char *name;
	int fd; /* listens */
	struct source *source;
	struct offer *offers;
	struct pair *pairs;
	size_t offer_count, pair_count;
};

static void offer_drop(struct offer *o)
{
	struct lent_socket *s = o->socket;
	for (struct offer **at = &s->offers; *at; at = &(*at)->next)
		if (*at == o) {
			*at = o->next;
			s->offer_count--;
			break;
		}
	free(o);
}

static void pair_drop(struct pair *p)
{
	struct lent_socket *s = p->socket;
	for (struct pair **at = &s->pairs; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			s->pair_count--;
			break;
		}
	relay_free(p->relay);
	free(p);
}

static void refuse(struct http_exchange *x, int code, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	error_set(&err, code, "%s", text);
	engine_error(x, -code, err);
}

static void lent_socket_free(struct lent_socket *s)
{
	source_free(s->source);
	for (struct offer *o = s->offers, *next; o; o = next) {
		next = o->next;
		http_exchange_on_closed(o->exchange, NULL, NULL);
		refuse(o->exchange, ENOENT, "the container has ended");
		free(o);
	}
	for (struct pair *p = s->pairs, *next; p; p = next) {
		next = p->next;
		relay_free(p->relay);
		free(p);
	}
	fd_close(s->fd);
	free(s->name);
	free(s);
}

void lent_sockets_free(struct container *c)
{
	while (c->lent_sockets) {
		struct lent_socket *s = c->lent_sockets;
		c->lent_sockets = s->next;
		lent_socket_free(s);
	}
}

/* ---- connections ---- */

/* Connections are accepted while a client waits for one. */
static void watch(struct lent_socket *s)
{
	source_set_events(s->source, s->offers && s->pair_count < PAIRS_MAX ? EPOLLIN : 0);
}

static void on_ended(struct relay *relay, void *data)
{
	struct lent_socket *s = ((struct pair *)data)->socket;
	pair_drop(data);
	watch(s); /* one of PAIRS_MAX is free again */
}

/* Connects both. Takes client. */
static void connect_pair(struct lent_socket *s, struct http_exchange *x, int client)
{
	AUTO_BUFFER struct buffer early = { 0 };
	int stream = -1;
	if (hijack(x, 1, &stream, &early) < 0) {
		fd_close(client);
		return;
	}
	struct pair *p = xnew(struct pair);
	*p = (struct pair){ .next = s->pairs, .socket = s };
	s->pairs = p;
	s->pair_count++;
	if (relay_new(s->engine->loop, stream, client, &early, on_ended, p, &p->relay) < 0)
		pair_drop(p);
}

static void on_connection(struct source *source, int fd, uint32_t events, void *data)
{
	struct lent_socket *s = data;
	int client = s->offers ? accept_connection(source, fd) : -1;
	if (client >= 0) {
		struct http_exchange *x = s->offers->exchange;
		http_exchange_on_closed(x, NULL, NULL);
		offer_drop(s->offers);
		connect_pair(s, x, client);
	}
	watch(s);
}

/* ---- the socket ---- */

static int listen_at(const struct container *c, const struct docker_mount *m, const char *path, struct error **err)
{
	const struct idmap *ids = container_ids(c);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint32_t uid, gid, mode, own_uid, own_gid;
	if (docker_mount_owner(m->options, &uid, &gid, &mode) < 0 ||
	    !idmap_outside(ids->uids, ids->uid_count, uid, &own_uid) ||
	    !idmap_outside(ids->gids, ids->gid_count, gid, &own_gid))
		return error_set(err, EINVAL, "the socket %s cannot have the owner %s", m->destination, m->options);
	if (strlen(path) >= sizeof address.sun_path)
		return error_set(err, ENAMETOOLONG, "the name of the socket %s is too long", m->destination);
	memcpy(address.sun_path, path, strlen(path) + 1);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(path); /* of an earlier start */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    chown(path, own_uid, own_gid) < 0 || chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
		return error_set_errno(err, errno, "cannot make the socket %s", m->destination);
	return TAKE_FD(fd);
}

static struct lent_socket **find(struct container *c, const char *name)
{
	struct lent_socket **at = &c->lent_sockets;
	while (*at && !streq((*at)->name, name))
		at = &(*at)->next;
	return at;
}

int lent_socket_make(struct container *c, const struct docker_mount *m, struct error **err)
{
	AUTOFREE char *run = xasprintf(ENGINE_RUN "/%s", c->record.id), *path = xasprintf("%s/s-%s", run, m->source);
	struct lent_socket **before = find(c, m->source), *old = *before;
	if (old) {
		*before = old->next;
		lent_socket_free(old);
	}
	int r = path_mkdir_all(run, 0711, err), fd = r < 0 ? r : listen_at(c, m, path, err);
	if (fd < 0)
		return fd;
	struct lent_socket *s = xnew(struct lent_socket);
	*s = (struct lent_socket){ .next = c->lent_sockets, .engine = c->engine, .name = xstrdup(m->source), .fd = fd };
	c->lent_sockets = s;
	r = loop_add_io(c->engine->loop, fd, 0, on_connection, s, &s->source);
	if (r < 0) { /* clients would wait at a socket that nobody watches */
		c->lent_sockets = s->next;
		lent_socket_free(s);
		return error_set_errno(err, r, "cannot watch the socket %s", m->destination);
	}
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? error_set_errno(err, errno, "cannot mount the socket %s", m->destination) : tree;
}

/* ---- clients ---- */

static void on_client_gone(void *data)
{
	struct lent_socket *s = ((struct offer *)data)->socket;
	offer_drop(data);
	watch(s);
}

void engine_socket(struct engine *e, struct http_exchange *x, const char *name)
{
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *wish = engine_query(x, "name");
	if (!c)
		return;
	struct lent_socket *s = *find(c, wish);
	if (!s || !http_exchange_head(x)->upgrade || s->offer_count >= OFFERS_MAX) {
		refuse(x,
		    !s                              ? ENOENT :
		    !http_exchange_head(x)->upgrade ? EINVAL :
						      EBUSY,
		    !s                              ? "the container lends no such socket" :
		    !http_exchange_head(x)->upgrade ? "the request has to ask for an upgrade" :
						      "too many clients wait for a connection to this socket");
		return;
	}
	struct offer *o = xnew(struct offer);
	*o = (struct offer){ .next = s->offers, .socket = s, .exchange = x };
	s->offers = o;
	s->offer_count++;
	http_exchange_on_closed(x, on_client_gone, o);
	watch(s);
}
