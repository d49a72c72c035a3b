/* SPDX-License-Identifier: Apache-2.0
 * The relayed ssh-agent: a socket inside, made by the session's child; each connection to it
 * becomes a stream to the keeper, which connects to the caller's agent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/machine_run.h"
#include "agent/core/upcall.h"
#include "agent/session/session.h"
#include "base/alloc.h"
#include "base/fd.h"

enum { CONNECTIONS_MAX = 16 };

struct connection {
	struct session_agent *owner;
	struct connection *next;
	int fd;
	struct upcall *call;
	struct relay *relay;
};

struct session_agent {
	struct session *session;
	int listening;
	struct source *source;
	struct connection *connections;
	size_t count;
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
	struct session_agent *o = c->owner;
	for (struct connection **at = &o->connections; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			o->count--;
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
	if (fd < 0 ||
	    relay_new(c->owner->session->agent->loop, fd, TAKE_FD(c->fd), early, on_relay_ended, c, &c->relay) < 0)
		connection_free(c);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	struct session_agent *o = data;
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (accepted < 0)
		return;
	if (o->count >= CONNECTIONS_MAX) {
		fd_close(accepted);
		return;
	}
	struct connection *c = xnew(struct connection);
	*c = (struct connection){ .owner = o, .next = o->connections, .fd = accepted };
	o->connections = c;
	o->count++;
	AUTOFREE char *target = xasprintf("/v1/relay/ssh-agent?id=%lld", (long long)o->session->request->relay);
	upcall_start(o->session->agent, target, on_opened, c, &c->call);
}

/* The newest other session of the same user that relays an agent; the stable name goes to it. */
static const struct session *heir(const struct session *s)
{
	for (const struct session *at = s->agent->sessions; at; at = at->next)
		if (at != s && at->ssh && at->uid == s->uid)
			return at;
	return NULL;
}

static void remove_names(const struct session *s)
{
	AUTO_FD int directory = machine_run_open("holm", O_RDONLY | O_DIRECTORY);
	AUTOFREE char *name = xasprintf("ssh-agent-%llu", (unsigned long long)s->number);
	AUTOFREE char *inside = xasprintf("/run/holm/%s", name);
	AUTOFREE char *stable = xasprintf("ssh-agent.%u", s->uid);
	char target[256];
	if (directory < 0)
		return;
	unlinkat(directory, name, 0);
	ssize_t n = readlinkat(directory, stable, target, sizeof target - 1);
	target[MAX(n, 0)] = '\0';
	if (!streq(target, inside))
		return;
	const struct session *next = heir(s);
	AUTOFREE char *temporary = xasprintf("%s.new", name);
	AUTOFREE char *other = next ? xasprintf("/run/holm/ssh-agent-%llu", (unsigned long long)next->number) : NULL;
	if (!other)
		unlinkat(directory, stable, 0);
	else if (symlinkat(other, directory, temporary) == 0)
		renameat(directory, temporary, directory, stable);
}

/* It came from inside: it must be a socket that listens. */
static int is_listening(int fd)
{
	int listening = 0;
	socklen_t size = sizeof listening;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

void session_agent_start(struct session *s, int listening)
{
	/* A client that has gone already lends nothing. */
	if (s->stream < 0 && s->machine >= 0)
		remove_names(s);
	if (s->ssh || s->stream < 0 || s->request->relay < 0 || !is_listening(listening) ||
	    fd_set_nonblocking(listening, 1) < 0) {
		fd_close(listening);
		return;
	}
	struct session_agent *o = s->ssh = xnew(struct session_agent);
	*o = (struct session_agent){ .session = s, .listening = listening };
	loop_add_io(s->agent->loop, listening, EPOLLIN, on_connection, o, &o->source);
}

void session_agent_free(struct session_agent *o)
{
	if (!o)
		return;
	if (o->session->machine >= 0)
		remove_names(o->session);
	for (struct connection *c = o->connections, *next; c; c = next) {
		next = c->next;
		connection_release(c);
	}
	source_free(o->source);
	fd_close(o->listening);
	free(o);
}
