/* SPDX-License-Identifier: Apache-2.0
 * Published ports. Every port is bound before the machine starts, so that a port in use is an error
 * of the start; connections are accepted once sessions may start, and wait in the backlog until
 * then. Each one is a stream to the agent, which connects inside. Where nobody listens inside the
 * client's connection is reset. The number of dials that are under way is capped: sessions need
 * streams, too. */
#include "keeper/ports/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/keeper_private.h"

enum { DIAL_TIMEOUT_MS = 30 * 1000, DIALS_MAX = 64, BACKLOG = 128 };

struct publisher {
	struct published *ports;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* ---- TCP ---- */

struct dial {
	struct published *port;
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
	d->port->connections--;
	if (d->client >= 0)
		reset_connection(d->client);
	free(d);
}

static void on_dialled(int fd, struct buffer *early, void *data)
{
	struct dial *d = data;
	keeper_relay(d->port->keeper, fd, TAKE_FD(d->client), early, 0);
	dial_free(d);
}

static void on_dial_failed(int code, struct json_object *body, const struct error *err, void *data)
{
	struct dial *d = data;
	log_debug("port %u inside: %s", d->port->inside, error_text(err, code));
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
	json_add_string(body, "protocol", p->udp ? "udp" : "tcp");
	json_add_u64(body, "port", p->inside);
	return http_call(p->keeper->loop, fd, "POST", "/v1/dial", body, clock_deadline(DIAL_TIMEOUT_MS), &events, data,
	    ret);
}

static void on_connection(struct published *p)
{
	int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct dial *d = xnew(struct dial);
	*d = (struct dial){ .port = p, .client = fd };
	p->connections++;
	if (p->connections > DIALS_MAX || publish_dial(p, on_dialled, on_dial_failed, d, NULL) < 0)
		dial_free(d);
}

/* ---- ports ---- */

static void on_port(struct source *s, int fd, uint32_t events, void *data)
{
	struct published *p = data;
	if (p->udp)
		publish_udp_readable(p);
	else
		on_connection(p);
}

static int parse_address(const char *ip, uint16_t port, union address *ret, socklen_t *ret_size)
{
	*ret = (union address){ 0 };
	if (inet_pton(AF_INET, ip, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		*ret_size = sizeof ret->v4;
		return 0;
	}
	if (inet_pton(AF_INET6, ip, &ret->v6.sin6_addr) != 1)
		return -EINVAL;
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	*ret_size = sizeof ret->v6;
	return 0;
}

static int bind_port(const char *ip, const struct machine_publish *m, int *ret_fd)
{
	union address address;
	socklen_t size;
	int one = 1;
	if (parse_address(ip, m->host, &address, &size) < 0)
		return -EINVAL;
	AUTO_FD int fd =
	    socket(address.any.sa_family, (m->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!m->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, &address.any, size) < 0 || (!m->udp && listen(fd, BACKLOG) < 0))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int bind_error(int code, const char *ip, const struct machine_publish *m, struct error **err)
{
	const char *kind = m->udp ? "UDP" : "TCP";
	if (code == -EADDRINUSE)
		return error_set(err, EADDRINUSE,
		    "%s port %u on %s is in use by another program; stop that, or publish on another port", kind,
		    m->host, ip);
	if (code == -EACCES)
		return error_set(err, EACCES,
		    "%s port %u on %s needs privileges that you do not have; publish on a port from 1024 up", kind,
		    m->host, ip);
	return error_set_errno(err, code, "%s port %u on %s cannot be published", kind, m->host, ip);
}

static int add_port(struct publisher *p, struct keeper *k, const char *ip, const struct machine_publish *m,
    int optional, struct error **err)
{
	int fd = -1;
	int r = bind_port(ip, m, &fd);
	if (r < 0 && optional && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
		return 0; /* a host without IPv6 */
	if (r < 0)
		return bind_error(r, ip, m, err);
	struct published *port = xnew(struct published);
	*port = (struct published){ .next = p->ports, .keeper = k, .fd = fd, .inside = m->inside, .udp = m->udp };
	p->ports = port;
	return 0;
}

int publisher_new(struct keeper *k, struct publisher **ret, struct error **err)
{
	struct publisher *p = xnew(struct publisher);
	int r = 0;
	for (size_t i = 0; i < k->machine->publish_count && r == 0; i++) {
		const struct machine_publish *m = &k->machine->publish[i];
		r = add_port(p, k, m->ip ? m->ip : "127.0.0.1", m, 0, err);
		if (r == 0 && !m->ip)
			r = add_port(p, k, "::1", m, 1, err);
	}
	if (r < 0)
		publisher_free(p);
	else
		*ret = p;
	return r;
}

void publisher_open(struct publisher *p)
{
	for (struct published *port = p ? p->ports : NULL; port; port = port->next)
		if (!port->source &&
		    loop_add_io(port->keeper->loop, port->fd, EPOLLIN, on_port, port, &port->source) < 0)
			log_error("publishing port %u failed", port->inside);
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	while (p->ports) {
		struct published *port = p->ports;
		p->ports = port->next;
		publish_udp_free(port);
		source_free(port->source);
		fd_close(port->fd);
		free(port);
	}
	free(p);
}
