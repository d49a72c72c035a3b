/* SPDX-License-Identifier: Apache-2.0
 * Connections to published TCP ports. If the isolation gives sockets in the machine's network, the
 * keeper connects one of them and splices: nothing inside takes part. Else each connection is a
 * stream to the agent, which connects.
 *
 * A client is accepted before the service has been. It waits as long as a direct connection would:
 * if the service's backlog is full, until there is room or the kernel gives up after two minutes.
 * Where nobody listens it is reset. Further clients wait in the port's own backlog if there are too
 * many already, or no more descriptors. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/accept.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/splice.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

enum { STREAMS_MAX = 64 /* of a port: sessions need streams, too */, ACCEPTS_A_TURN = 32, RETRY_MS = 1000 };
enum { YOUNG_MS = 1000, SYN_RETRIES = 6 };

struct connection {
	struct connection *next, **link;
	struct publisher *publisher;
	struct published *port; /* NULL: the connection stands, and is not the port's any more */
	int client;             /* -1: the splice has it */
	unsigned address;       /* the next to try */
	int waits;              /* for a socket */
	int lasts;              /* its socket inside has the options of one that does */
	struct splice *splice;
	struct http_call *call; /* dials by a stream */
	struct source *source;  /* whether the client goes away meanwhile */
};

static void reset_connection(int fd)
{
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	fd_close(fd);
}

static void link_to(struct connection *c, struct connection **list)
{
	c->next = *list;
	c->link = list;
	if (c->next)
		/* A freed one was unlinked by its link. */
		c->next->link = &c->next; /* NOLINT(clang-analyzer-unix.Malloc) */
	*list = c;
}

static void unlink_from(struct connection *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
}

static void connection_free(struct connection *c)
{
	struct publisher *p = c->publisher;
	struct published *port = c->call ? c->port : NULL;
	unlink_from(c);
	source_free(c->source);
	http_call_cancel(c->call);
	splice_free(c->splice);
	if (c->client >= 0)
		reset_connection(c->client);
	free(c);
	p->connections--;
	if (port && port->streams-- == STREAMS_MAX)
		publish_tcp_update(port);
	if (p->is_full)
		source_set_timer(p->retry, clock_now_ms());
}

/* ---- by a stream ---- */

static void stream_ended(struct connection *c)
{
	c->call = NULL;
	if (c->port->streams-- == STREAMS_MAX)
		publish_tcp_update(c->port);
}

static void on_dialled(int fd, struct buffer *early, void *data)
{
	struct connection *c = data;
	stream_ended(c);
	source_free(TAKE_PTR(c->source));
	keeper_relay(c->port->keeper, fd, TAKE_FD(c->client), early, 0);
	connection_free(c);
}

static void on_dial_failed(int code, struct json_object *body, const struct error *err, void *data)
{
	struct connection *c = data;
	log_debug("port %u inside: %s", c->port->spec.inside, error_text(err, code));
	stream_ended(c);
	connection_free(c);
}

static void on_client_gone(struct source *s, int fd, uint32_t events, void *data)
{
	connection_free(data);
}

static void dial_by_stream(struct connection *c)
{
	if (loop_add_io(c->port->keeper->loop, c->client, 0, on_client_gone, c, &c->source) < 0 ||
	    publish_dial(c->port, on_dialled, on_dial_failed, c, &c->call) < 0) {
		c->call = NULL;
		connection_free(c);
		return;
	}
	if (++c->port->streams == STREAMS_MAX)
		publish_tcp_update(c->port);
}

/* ---- connections that last ---- */

/* connect(2) gives up after 127 s, whatever the machine sets: tcp(7). A service whose network went
 * away with it is noticed after some minutes. */
static void set_lasting(const struct connection *c)
{
	int one = 1, retries = SYN_RETRIES, idle_s = PUBLISH_IDLE_S, interval_s = PUBLISH_INTERVAL_S;
	int fd = c->splice ? splice_inside(c->splice) : -1;
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof retries);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static void set_all_lasting(struct connection *list, int new_ones_first)
{
	for (struct connection *c = list; c && !(new_ones_first && c->lasts); c = c->next) {
		if (!c->lasts)
			set_lasting(c);
		c->lasts = 1;
	}
}

static void on_young(struct source *s, void *data)
{
	struct publisher *p = data;
	p->has_young = 0;
	set_all_lasting(p->spliced, 1);
	for (struct published *port = p->ports; port; port = port->next)
		set_all_lasting(port->dialling, 0);
}

/* Most connections are over before that. */
static void expect_to_last(struct connection *c)
{
	struct publisher *p = c->publisher;
	c->lasts = 0;
	if (p->has_young || (!p->young && loop_add_timer(p->keeper->loop, UINT64_MAX, on_young, p, &p->young) < 0))
		return;
	p->has_young = 1;
	source_set_timer(p->young, clock_deadline(YOUNG_MS));
}

/* ---- by a socket inside ---- */

static void try_next(struct connection *c);

static void on_refused(int code, void *data)
{
	try_next(data);
}

static void on_connected(void *data)
{
	struct connection *c = data;
	c->port = NULL;
	unlink_from(c);
	link_to(c, &c->publisher->spliced);
	expect_to_last(c);
}

static void on_ended(void *data)
{
	connection_free(data);
}

/* Takes fd. 0, or -errno: the connection is as before. */
static int begin_splice(struct connection *c, int fd, const struct inside_address *to)
{
	static const struct splice_events events = { .refused = on_refused,
		.connected = on_connected,
		.ended = on_ended };
	AUTO_FD int inside = fd;
	int r = c->splice ? 0 : splice_new(c->port->keeper->loop, TAKE_FD(c->client), &events, c, &c->splice);
	if (r == 0)
		r = splice_connect(c->splice, TAKE_FD(inside), (const struct sockaddr *)&to->address, to->size);
	if (r == 0)
		expect_to_last(c);
	return r;
}

static void try_next(struct connection *c)
{
	struct inside_address to;
	c->waits = 0;
	while (publish_inside_address(c->port, c->address, &to)) {
		int fd = keeper_open_socket(c->port->keeper, to.kind);
		c->waits = fd == -EAGAIN;
		if (c->waits)
			return;
		c->address++;
		if (fd >= 0 && begin_splice(c, fd, &to) == 0)
			return;
		if (fd < 0 && c->address == 1) {
			dial_by_stream(c);
			return;
		}
		if (!c->splice && c->client < 0)
			break;
	}
	connection_free(c);
}

void publish_tcp_sockets(struct published *p)
{
	for (struct connection *c = p->dialling, *next; c; c = next) {
		next = c->next;
		if (c->waits)
			try_next(c);
	}
}

/* ---- clients ---- */

static void on_retry(struct source *s, void *data)
{
	struct publisher *p = data;
	p->is_full = p->connections >= p->connections_max;
	for (struct published *port = p->ports; port; port = port->next)
		publish_tcp_update(port);
}

/* Clients wait in the backlog until a connection ends, or a second has passed: the descriptor that
 * is missing may become free elsewhere. */
static void set_full(struct publisher *p, uint64_t until_ms)
{
	if (!p->retry && loop_add_timer(p->keeper->loop, UINT64_MAX, on_retry, p, &p->retry) < 0)
		return;
	p->is_full = 1;
	source_set_timer(p->retry, until_ms);
	for (struct published *port = p->ports; port; port = port->next)
		publish_tcp_update(port);
}

void publish_tcp_update(struct published *p)
{
	int accepts = !p->keeper->publisher->is_full && p->streams < STREAMS_MAX;
	if (p->spec.udp || !p->source || accepts == p->accepts)
		return;
	p->accepts = accepts;
	source_set_events(p->source, accepts ? EPOLLIN : 0);
}

static int accept_one(struct published *p)
{
	struct publisher *all = p->keeper->publisher;
	int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && accept_must_wait(errno))
		set_full(all, clock_deadline(RETRY_MS));
	if (fd < 0)
		return 0;
	struct connection *c = xnew(struct connection);
	*c = (struct connection){ .publisher = all, .port = p, .client = fd };
	link_to(c, &p->dialling);
	if (++all->connections >= all->connections_max)
		set_full(all, UINT64_MAX);
	try_next(c);
	return p->accepts;
}

void publish_tcp_readable(struct published *p)
{
	for (int i = 0; i < ACCEPTS_A_TURN && accept_one(p); i++)
		;
}

static void free_all(struct connection *list)
{
	for (struct connection *c = list, *next; c; c = next) {
		next = c->next;
		connection_free(c);
	}
}

void publish_tcp_free(struct published *p)
{
	free_all(p->dialling);
}

void publish_tcp_free_spliced(struct publisher *p)
{
	free_all(p->spliced);
	source_free(TAKE_PTR(p->retry));
	source_free(TAKE_PTR(p->young));
}
