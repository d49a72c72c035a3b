/* SPDX-License-Identifier: Apache-2.0
 * Published ports. Every port is bound before the machine starts, so that a port in use is an error
 * of the start; connections are accepted once sessions may start, and wait in the backlog until
 * then. Each one is a stream to the agent, which connects inside. Where nobody listens inside the
 * client's connection is reset. The number of dials that are under way is capped, as sessions need
 * streams, too: further clients wait in the backlog. A port that is taken away while the machine
 * runs ends its dials and its UDP flows; a TCP connection that is already relayed goes on. */
#include "keeper/ports/publish.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/keeper_private.h"

enum { DIAL_TIMEOUT_MS = 30 * 1000, DIALS_MAX = 64 };

/* ---- TCP ---- */

struct dial {
	struct dial *next; /* of the same port */
	struct published *port;
	struct http_call *call; /* NULL: it has ended */
	int client;
};

static void reset_connection(int fd)
{
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	fd_close(fd);
}

static void dial_free(struct dial *d)
{
	for (struct dial **at = &d->port->dials; *at; at = &(*at)->next)
		if (*at == d) {
			*at = d->next;
			break;
		}
	/* There is room again: the next one waits in the backlog. */
	if (d->port->connections-- == DIALS_MAX && d->port->source)
		source_set_events(d->port->source, EPOLLIN);
	http_call_cancel(d->call);
	if (d->client >= 0)
		reset_connection(d->client);
	free(d);
}

static void on_dialled(int fd, struct buffer *early, void *data)
{
	struct dial *d = data;
	d->call = NULL;
	keeper_relay(d->port->keeper, fd, TAKE_FD(d->client), early, 0);
	dial_free(d);
}

static void on_dial_failed(int code, struct json_object *body, const struct error *err, void *data)
{
	struct dial *d = data;
	d->call = NULL;
	log_debug("port %u inside: %s", d->port->spec.inside, error_text(err, code));
	dial_free(d);
}

int publish_dial(struct published *p, void (*upgraded)(int fd, struct buffer *early, void *data),
    void (*done)(int code, struct json_object *body, const struct error *err, void *data), void *data,
    struct http_call **ret)
{
	const struct http_call_events events = { .done = done, .upgrade = "holm-stream", .upgraded = upgraded };
	int fd;
	int r = keeper_open_stream(p->keeper, &fd, NULL);
	if (r < 0)
		return r;
	struct json_object *body = json_object_new_object();
	json_add_string(body, "protocol", p->spec.udp ? "udp" : "tcp");
	json_add_u64(body, "port", p->spec.inside);
	json_add_string(body, "address", p->target);
	return http_call(p->keeper->loop, fd, "POST", "/v1/dial", body, clock_deadline(DIAL_TIMEOUT_MS), &events, data,
	    ret);
}

static void on_connection(struct published *p)
{
	int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct dial *d = xnew(struct dial);
	*d = (struct dial){ .next = p->dials, .port = p, .client = fd };
	p->dials = d;
	if (++p->connections == DIALS_MAX)
		source_set_events(p->source, 0);
	if (publish_dial(p, on_dialled, on_dial_failed, d, &d->call) < 0)
		dial_free(d);
}

/* ---- ports ---- */

static void on_port(struct source *s, int fd, uint32_t events, void *data)
{
	struct published *p = data;
	if (p->spec.udp)
		publish_udp_readable(p);
	else
		on_connection(p);
}

struct published *publish_add_socket(struct publisher *p, const struct machine_publish *spec, const char *ip, int fd,
    const char *container)
{
	struct published *port = xnew(struct published);
	*port = (struct published){ .next = p->ports, .keeper = p->keeper, .fd = fd, .spec = *spec };
	port->spec.ip = spec->ip ? xstrdup(spec->ip) : NULL;
	port->address = xstrdup(ip);
	port->container = xstrdup(container);
	p->ports = port;
	*(container ? &p->container_sockets : &p->count) += 1;
	return port;
}

void publish_accept(struct published *port)
{
	if (!port->source && loop_add_io(port->keeper->loop, port->fd, EPOLLIN, on_port, port, &port->source) < 0)
		log_error("publishing port %u failed", port->spec.inside);
}

void publish_free(struct published **at)
{
	struct published *port = *at;
	struct publisher *p = port->keeper->publisher;
	*at = port->next;
	*(port->container ? &p->container_sockets : &p->count) -= 1;
	while (port->dials)
		/* Freeing one takes it off the list. */
		dial_free(port->dials); /* NOLINT(clang-analyzer-unix.Malloc) */
	publish_udp_free(port);
	source_free(port->source);
	fd_close(port->fd);
	machine_publish_done(&port->spec);
	free(port->address);
	free(port->container);
	free(port->target);
	free(port);
}

static struct published *find_port(struct publisher *p, const struct machine_publish *spec)
{
	struct published *port = p->ports;
	while (port && (port->container || !machine_publish_same(&port->spec, spec)))
		port = port->next;
	return port;
}

static int open_port(struct publisher *p, const struct machine_publish *spec, struct error **err)
{
	int fds[MACHINE_PUBLISH_SOCKETS];
	int r = machine_publish_open(p->keeper->machine->name, spec, fds, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < MACHINE_PUBLISH_SOCKETS; i++)
		if (fds[i] >= 0)
			publish_add_socket(p, spec, spec->ip ? spec->ip : machine_publish_loopback[i], fds[i], NULL);
	return 0;
}

int publisher_new(struct keeper *k, struct error **err)
{
	struct publisher *p = xnew(struct publisher);
	int r = 0;
	p->keeper = k;
	k->publisher = p;
	for (size_t i = 0; i < k->machine->publish_count && r == 0; i++)
		r = open_port(p, &k->machine->publish[i], err);
	return r;
}

void publisher_open(struct publisher *p)
{
	for (struct published *port = p ? p->ports : NULL; port; port = port->next)
		if (!port->container)
			publish_accept(port);
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	while (p->ports)
		publish_free(&p->ports);
	free(p);
}

struct json_object *publisher_describe(const struct publisher *p)
{
	struct json_object *list = json_object_new_array();
	for (const struct published *port = p ? p->ports : NULL; port; port = port->next) {
		if (port->container)
			continue;
		struct json_object *o = json_object_new_object();
		json_add_string(o, "ip", port->address);
		json_add_u64(o, "host", port->spec.host);
		json_add_u64(o, "inside", port->spec.inside);
		json_add_string(o, "protocol", port->spec.udp ? "udp" : "tcp");
		json_object_array_add(list, o);
	}
	return list;
}

/* ---- while the machine runs ---- */

static int no_publisher(struct keeper *k, struct error **err)
{
	if (k->publisher && !k->isolation_ended)
		return 0;
	return error_set(err, EOPNOTSUPP, "the ports are published when the machine starts again");
}

int keeper_add_port(struct keeper *k, const struct machine_publish *spec, struct error **err)
{
	int r = no_publisher(k, err);
	if (r < 0)
		return r;
	if (find_port(k->publisher, spec))
		return error_set(err, EEXIST, "port %u is published already", spec->host);
	if (k->publisher->count >= MACHINE_PUBLISH_MAX * MACHINE_PUBLISH_SOCKETS)
		return error_set(err, E2BIG, "a machine can have %d published ports at most", MACHINE_PUBLISH_MAX);
	r = open_port(k->publisher, spec, err);
	if (r == 0 && k->was_ready)
		publisher_open(k->publisher);
	return r;
}

int keeper_remove_port(struct keeper *k, const struct machine_publish *spec, struct error **err)
{
	int r = no_publisher(k, err);
	if (r < 0)
		return r;
	if (!find_port(k->publisher, spec))
		return error_set(err, ENOENT, "port %u is not published", spec->host);
	for (struct published **at = &k->publisher->ports; *at;) {
		if (!(*at)->container && machine_publish_same(&(*at)->spec, spec))
			publish_free(at);
		else
			at = &(*at)->next;
	}
	return 0;
}
