/* SPDX-License-Identifier: Apache-2.0
 * Published ports: how people write them, the list of a machine, and their sockets on the host. */
#include "machine/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/port_spec.h"
#include "base/path.h"

enum { BACKLOG = 1024, CHOICES = 64 };

const char *const machine_publish_loopback[MACHINE_PUBLISH_SOCKETS] = { "127.0.0.1", "::1" };

/* ---- as text ---- */

static int is_single(struct port_range r)
{
	return r.first && r.first == r.last;
}

int machine_publish_parse(const char *text, struct machine_publish *ret, struct error **err)
{
	struct port_spec p = { 0 };
	int good = text[0] != ':' && port_spec_parse(text, &p) == 0;
	if (!good || !is_single(p.host) || !is_single(p.inside)) {
		port_spec_done(&p);
		return error_set(err, EINVAL,
		    "publish \"%.80s\": write [IP:]HOST:INSIDE[/udp] with ports from 1 to 65535, such as 8080:80",
		    text);
	}
	*ret = (struct machine_publish){ p.ip, p.host.first, p.inside.first, p.protocol == PORT_UDP };
	return 0;
}

char *machine_publish_format(const struct machine_publish *p)
{
	AUTOFREE char *ip = p->ip ? xasprintf(strchr(p->ip, ':') ? "[%s]:" : "%s:", p->ip) : xstrdup("");
	return xasprintf("%s%u:%u%s", ip, p->host, p->inside, p->udp ? "/udp" : "");
}

struct json_object *machine_publish_to_json(const struct machine_publish *p)
{
	struct json_object *o = json_object_new_object();
	json_add(o, "ip", p->ip ? json_object_new_string(p->ip) : NULL);
	json_add_u64(o, "host", p->host);
	json_add_u64(o, "inside", p->inside);
	json_add_string(o, "protocol", p->udp ? "udp" : "tcp");
	return o;
}

int machine_publish_from_json(struct json_object *o, struct machine_publish *ret, struct error **err)
{
	const char *ip = NULL, *protocol = "tcp";
	uint64_t host = 0, inside = 0;
	int r;
	if (json_object_is_type(o, json_type_string))
		return machine_publish_parse(json_object_get_string(o), ret, err);
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "\"publish\" holds something else than objects");
	if (((r = json_get_string(o, "ip", &ip, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_string(o, "protocol", &protocol, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_u64(o, "host", &host, err)) < 0 && r != -ENOENT) ||
	    ((r = json_get_u64(o, "inside", &inside, err)) < 0 && r != -ENOENT))
		return r;
	AUTOFREE char *text = xasprintf("%s%s%s%llu:%llu/%s", ip && strchr(ip, ':') ? "[" : "", ip ? ip : "",
	    ip ? strchr(ip, ':') ? "]:" : ":" : "", (unsigned long long)host, (unsigned long long)inside, protocol);
	return machine_publish_parse(text, ret, err);
}

/* ---- the list of a machine ---- */

int machine_publish_add(struct machine *m, struct machine_publish *publish, struct error **err)
{
	if (m->publish_count >= MACHINE_PUBLISH_MAX)
		return error_set(err, E2BIG, "a machine can have %d published ports at most", MACHINE_PUBLISH_MAX);
	for (size_t i = 0; i < m->publish_count; i++) {
		const struct machine_publish *p = &m->publish[i];
		if (p->host == publish->host && p->udp == publish->udp && streq(p->ip, publish->ip))
			return error_set(err, EEXIST, "port %u of the host is published twice", publish->host);
	}
	m->publish = xrealloc(m->publish, m->publish_count + 1, sizeof *m->publish);
	m->publish[m->publish_count++] = *publish;
	*publish = (struct machine_publish){ 0 };
	return 0;
}

void machine_publish_remove(struct machine *m, const struct machine_publish *publish)
{
	for (size_t i = 0; i < m->publish_count; i++) {
		struct machine_publish *p = &m->publish[i];
		if (p->host != publish->host || p->udp != publish->udp || !streq(p->ip, publish->ip))
			continue;
		machine_publish_done(p);
		m->publish_count--;
		memmove(p, p + 1, (m->publish_count - i) * sizeof *p);
		return;
	}
}

void machine_publish_clear(struct machine *m)
{
	for (size_t i = 0; i < m->publish_count; i++)
		machine_publish_done(&m->publish[i]);
	free(TAKE_PTR(m->publish));
	m->publish_count = 0;
}

int machine_publish_set(struct machine *m, const char *value, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	struct machine list = { 0 }; /* of its members only the ports */
	int r = 0;
	strv_split(&parts, value, ",");
	for (size_t i = 0; r == 0 && i < parts.count; i++) {
		struct machine_publish publish = { 0 };
		r = machine_publish_parse(parts.items[i], &publish, err);
		if (r == 0)
			r = machine_publish_add(&list, &publish, err);
		machine_publish_done(&publish);
	}
	if (r < 0) {
		machine_publish_clear(&list);
		return r;
	}
	machine_publish_clear(m);
	m->publish = list.publish;
	m->publish_count = list.publish_count;
	return 0;
}

int machine_publish_same(const struct machine_publish *a, const struct machine_publish *b)
{
	return a->host == b->host && a->inside == b->inside && a->udp == b->udp && streq(a->ip, b->ip);
}

const struct machine_publish *machine_publish_find(const struct machine *m, const struct machine_publish *publish)
{
	for (size_t i = 0; i < m->publish_count; i++)
		if (machine_publish_same(&m->publish[i], publish))
			return &m->publish[i];
	return NULL;
}

/* A port as people name it to take it away: [IP:]HOST[:INSIDE][/udp]. */
struct wanted {
	struct machine_publish port;
	int any_inside, any_protocol;
};

static int parse_wanted(const char *text, struct wanted *ret, struct error **err)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	*ret = (struct wanted){ .any_protocol = !slash };
	if (machine_publish_parse(text, &ret->port, NULL) == 0) {
		ret->any_protocol = 0;
		return 0;
	}
	/* Without the port inside: any port stands in for it. */
	if (slash)
		*slash++ = 0;
	AUTOFREE char *whole = xasprintf("%s:1/%s", copy, slash ? slash : "tcp");
	ret->any_inside = 1;
	if (machine_publish_parse(whole, &ret->port, NULL) < 0)
		return error_set(err, EINVAL, "port \"%.80s\": write [IP:]HOST[:INSIDE][/udp], such as 8080 or 8080:80",
		    text);
	return 0;
}

static int is_wanted(const struct machine_publish *p, const struct wanted *w)
{
	return p->host == w->port.host && (w->any_protocol || p->udp == w->port.udp) &&
	       (w->any_inside || p->inside == w->port.inside) &&
	       ((w->any_inside && !w->port.ip) || streq(p->ip, w->port.ip));
}

int machine_publish_choose(const struct machine *m, const char *text, struct machine_publish *ret, struct error **err)
{
	AUTO_STRV struct strv found = { 0 };
	struct wanted w;
	const struct machine_publish *match = NULL;
	int r = parse_wanted(text, &w, err);
	for (size_t i = 0; r == 0 && i < m->publish_count; i++) {
		if (!is_wanted(&m->publish[i], &w))
			continue;
		match = &m->publish[i];
		strv_take(&found, machine_publish_format(match));
	}
	machine_publish_done(&w.port);
	if (r < 0)
		return r;
	AUTOFREE char *list = strv_join(&found, ", ");
	if (found.count == 0)
		return error_set(err, ENOENT,
		    "machine \"%s\" does not publish port \"%.80s\"; see holm machine port ls", m->name, text);
	if (found.count > 1)
		return error_set(err, EINVAL, "port \"%.80s\" is one of several: %s; name one of these", text, list);
	*ret =
	    (struct machine_publish){ match->ip ? xstrdup(match->ip) : NULL, match->host, match->inside, match->udp };
	return 0;
}

/* ---- sockets on the host ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

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

int machine_publish_bind(const char *ip, const struct machine_publish *p, int *ret_fd)
{
	union address address;
	socklen_t size;
	int one = 1;
	if (parse_address(ip, p->host, &address, &size) < 0)
		return -EINVAL;
	AUTO_FD int fd =
	    socket(address.any.sa_family, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!p->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, &address.any, size) < 0 || (!p->udp && listen(fd, BACKLOG) < 0))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int is_any(const char *ip)
{
	return streq(ip, "0.0.0.0") || streq(ip, "::");
}

/* Whether one of the two ports, in use, keeps the other from being bound. */
static int overlap(const struct machine_publish *a, const struct machine_publish *b)
{
	const char *named = a->ip ? a->ip : b->ip;
	if (a->host != b->host || a->udp != b->udp)
		return 0;
	if (streq(a->ip, b->ip) || (a->ip && is_any(a->ip)) || (b->ip && is_any(b->ip)))
		return 1;
	return (!a->ip || !b->ip) &&
	       (streq(named, machine_publish_loopback[0]) || streq(named, machine_publish_loopback[1]));
}

/* Names the running machine, other than `own`, that has the port. Owned; NULL: none has it. */
static char *holder(const char *own, const struct machine_publish *p)
{
	AUTO_STRV struct strv names = { 0 };
	machine_list(&names, NULL);
	for (size_t i = 0; i < names.count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		if (streq(names.items[i], own) || machine_is_running(names.items[i]) != 1 ||
		    machine_load(names.items[i], &m, NULL) < 0)
			continue;
		for (size_t j = 0; j < m->publish_count; j++)
			if (overlap(&m->publish[j], p))
				return xasprintf("machine \"%s\"", names.items[i]);
	}
	return NULL;
}

uint32_t machine_publish_first_port(void)
{
	AUTOFREE char *text = NULL;
	uint32_t first = 1024;
	if (path_read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", 16, &text, NULL) == 0) {
		text[strcspn(text, "\n")] = 0;
		parse_u32(text, &first);
	}
	return first;
}

static int open_error(int code, const char *own, const char *ip, const struct machine_publish *p, struct error **err)
{
	const char *protocol = p->udp ? "UDP" : "TCP";
	AUTOFREE char *port =
	    p->host ? xasprintf("%s port %u on %s", protocol, p->host, ip) : xasprintf("a %s port on %s", protocol, ip);
	AUTOFREE char *remedy =
	    own ? xasprintf("holm machine port rm -n %s %u", own, p->host) : xstrdup("publish another port");
	if (code == -EADDRINUSE) {
		AUTOFREE char *who = holder(own, p);
		return error_set(err, EADDRINUSE, "%s is in use by %s; stop that, or %s", port,
		    who ? who : "another program", remedy);
	}
	if (code == -EACCES)
		return error_set(err, EACCES,
		    "%s needs privileges that you do not have, ports from %u up need none; %s", port,
		    machine_publish_first_port(), remedy);
	return error_set(err, -code, "%s cannot be published: %s; %s", port, strerror(-code), remedy);
}

/* The port that a socket was bound to. */
static int bound_port(int fd, uint16_t *ret)
{
	union address address;
	socklen_t size = sizeof address;
	if (getsockname(fd, &address.any, &size) < 0)
		return -errno;
	*ret = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
	return 0;
}

/* Opens the sockets of p; the kernel chooses a port where p has none, the same for both. 0; or
 * -errno, and the address that it is about. */
static int open_sockets(struct machine_publish *p, const char *const addresses[static MACHINE_PUBLISH_SOCKETS],
    int ret_fds[static MACHINE_PUBLISH_SOCKETS], const char **ret_ip)
{
	AUTO_FD int first = -1, second = -1;
	struct machine_publish at = *p; /* borrows */
	*ret_ip = p->ip ? p->ip : addresses[0];
	int r = machine_publish_bind(*ret_ip, &at, &first);
	if (r == 0 && !at.host)
		r = bound_port(first, &at.host);
	if (r == 0 && !p->ip && addresses[1]) {
		*ret_ip = addresses[1];
		r = machine_publish_bind(*ret_ip, &at, &second);
		if (r == -EAFNOSUPPORT || (r == -EADDRNOTAVAIL && streq(*ret_ip, machine_publish_loopback[1])))
			r = 0; /* a host without IPv6 */
	}
	if (r < 0)
		return r;
	p->host = at.host;
	ret_fds[0] = TAKE_FD(first);
	ret_fds[1] = TAKE_FD(second);
	return 0;
}

int machine_publish_open(const char *own, const struct machine_publish *p, int ret_fds[static MACHINE_PUBLISH_SOCKETS],
    struct error **err)
{
	const char *ip;
	struct machine_publish at = *p;
	int r = open_sockets(&at, machine_publish_loopback, ret_fds, &ip);
	return r < 0 ? open_error(r, own, ip, p, err) : 0;
}

int machine_publish_open_range(struct machine_publish *p, struct port_range range,
    const char *const addresses[static MACHINE_PUBLISH_SOCKETS], int ret_fds[static MACHINE_PUBLISH_SOCKETS],
    struct error **err)
{
	const char *ip = "";
	unsigned count = range.first ? port_range_count(range) : CHOICES;
	int r = -EADDRINUSE;
	for (unsigned i = 0; r == -EADDRINUSE && i < count; i++) {
		p->host = range.first ? (uint16_t)(range.first + i) : 0;
		r = open_sockets(p, addresses, ret_fds, &ip);
	}
	if (r != -EADDRINUSE || count == 1)
		return r < 0 ? open_error(r, NULL, ip, p, err) : 0;
	if (!range.first)
		return error_set(err, EADDRINUSE, "no %s port is free for %u inside; end what uses them",
		    p->udp ? "UDP" : "TCP", p->inside);
	return error_set(err, EADDRINUSE, "%s ports %u to %u are all in use; publish others", p->udp ? "UDP" : "TCP",
	    range.first, range.last);
}

int machine_publish_addresses(const char *value, struct strv *parts, const char *ret[static MACHINE_PUBLISH_SOCKETS],
    struct error **err)
{
	ret[0] = machine_publish_loopback[0];
	ret[1] = machine_publish_loopback[1];
	if (!value)
		return 0;
	strv_split(parts, value, ", ");
	int good = parts->count > 0 && parts->count <= MACHINE_PUBLISH_SOCKETS;
	for (size_t i = 0; i < parts->count; i++)
		good &= port_address_is_valid(parts->items[i]);
	if (!good)
		return error_set(err, EINVAL,
		    "publish-address \"%.80s\": write one IP address, or two with a comma; see holm-config(5)", value);
	ret[0] = parts->items[0];
	ret[1] = parts->count > 1 ? parts->items[1] : NULL;
	return 0;
}
