/* SPDX-License-Identifier: Apache-2.0
 * Published ports. Every port is bound before the machine starts, so that a port in use is an error
 * of the start; clients are accepted once sessions may start, and wait in the backlog until then.
 * The ways inside: publish_tcp.c and publish_udp.c. A port that is taken away while the machine
 * runs ends its dials and its UDP flows; a TCP connection that stands goes on. */
#include "keeper/ports/publish.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/automatic.h"

enum {
	KEPT_FILES = 256,            /* descriptors for everything else */
	FILES_A_CONNECTION = 6,      /* two sockets, two pipes */
	CONNECTIONS_MAX = 64 * 1024, /* of a machine */
};

/* ---- ports ---- */

static void on_port(struct source *s, int fd, uint32_t events, void *data)
{
	struct published *p = data;
	if (p->spec.udp)
		publish_udp_readable(p);
	else
		publish_tcp_readable(p);
}

/* Accepted sockets inherit both options. A service that writes little pieces expects them to go out
 * at once. A client that is gone without a word is noticed after some minutes: the service cannot
 * notice it, as the keeper answers its probes. */
static void set_options(int listening)
{
	int one = 1, idle_s = PUBLISH_IDLE_S, interval_s = PUBLISH_INTERVAL_S;
	setsockopt(listening, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(listening, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(listening, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(listening, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
}

struct published *publish_add_socket(struct publisher *p, const struct machine_publish *spec, const char *ip, int fd,
    const char *container)
{
	struct published *port = xnew(struct published);
	*port = (struct published){ .next = p->ports, .keeper = p->keeper, .fd = fd, .spec = *spec };
	port->spec.ip = spec->ip ? xstrdup(spec->ip) : NULL;
	port->address = xstrdup(ip);
	port->container = xstrdup(container);
	if (!spec->udp)
		set_options(fd);
	p->ports = port;
	*(container ? &p->container_sockets : &p->count) += 1;
	return port;
}

struct published *publish_add_automatic(struct publisher *p, const struct machine_publish *spec, int fd)
{
	struct published *port = publish_add_socket(p, spec, spec->ip, fd, NULL);
	port->automatic = 1;
	p->count--; /* it takes no room of published ports */
	return port;
}

/* Whether it is of the machine's settings. */
static int is_set(const struct published *port)
{
	return !port->container && !port->automatic;
}

void publish_accept(struct published *port)
{
	if (port->source)
		return;
	if (loop_add_io(port->keeper->loop, port->fd, EPOLLIN, on_port, port, &port->source) < 0)
		log_error("publishing port %u failed", port->spec.inside);
	port->accepts = port->source != NULL;
	publish_tcp_update(port);
}

void publish_free(struct published **at)
{
	struct published *port = *at;
	struct publisher *p = port->keeper->publisher;
	*at = port->next;
	if (!port->automatic && !port->spec.udp)
		auto_ports_retry(p->automatic, port->spec.host);
	if (!port->automatic)
		*(port->container ? &p->container_sockets : &p->count) -= 1;
	publish_tcp_free(port);
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
	while (port && (!is_set(port) || !machine_publish_same(&port->spec, spec)))
		port = port->next;
	return port;
}

static int open_port(struct publisher *p, const struct machine_publish *spec, struct error **err)
{
	int fds[MACHINE_PUBLISH_SOCKETS];
	if (!spec->udp)
		auto_ports_yield(p->automatic, spec->host);
	AUTO_ERROR struct error *why = NULL;
	int r = machine_publish_open(p->keeper->machine->name, spec, fds, &why);
	if (r == -EADDRINUSE && auto_ports_ask_others(p->keeper, spec)) {
		error_clear(&why);
		r = machine_publish_open(p->keeper->machine->name, spec, fds, &why);
	}
	if (r < 0)
		return error_set(err, -r, "%s", error_text(why, r));
	for (size_t i = 0; i < MACHINE_PUBLISH_SOCKETS; i++)
		if (fds[i] >= 0)
			publish_add_socket(p, spec, spec->ip ? spec->ip : machine_publish_loopback[i], fds[i], NULL);
	return 0;
}

static size_t count_connections_max(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < KEPT_FILES + FILES_A_CONNECTION)
		return 1;
	return MIN((size_t)(files.rlim_cur - KEPT_FILES) / FILES_A_CONNECTION, (size_t)CONNECTIONS_MAX);
}

int publisher_new(struct keeper *k, struct error **err)
{
	struct publisher *p = xnew(struct publisher);
	int r = 0;
	p->keeper = k;
	p->connections_max = count_connections_max();
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
	auto_ports_free(TAKE_PTR(p->automatic));
	while (p->ports)
		publish_free(&p->ports);
	publish_tcp_free_spliced(p);
	publish_udp_end(p);
	free(p);
}

void publisher_sockets(struct publisher *p)
{
	for (struct published *port = p ? p->ports : NULL; port; port = port->next)
		publish_tcp_sockets(port);
	if (p)
		publish_udp_sockets(p);
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
		if (port->automatic)
			json_add_bool(o, "auto", 1);
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
		if (is_set(*at) && machine_publish_same(&(*at)->spec, spec))
			publish_free(at);
		else
			at = &(*at)->next;
	}
	return 0;
}
