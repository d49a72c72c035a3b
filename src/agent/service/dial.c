/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/dial: a connection to a port inside, for published ports. The machine shares the network
 * namespace of the agent, so plain sockets reach its services and its containers. A service of the
 * machine may listen on one family or address only: they are tried in turn. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/lookup.h"
#include "agent/service/service.h"
#include "agent/core/network.h"
#include "base/udp_relay.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

/* A connection waits as long as a direct one: if the server's backlog is full, the kernel tries for
 * two minutes (TCP_SYNCNT of tcp(7)). */
enum { SYN_RETRIES = 6, CONNECT_MS = 140 * 1000, ADDRESSES = UDP_TARGETS_MAX };

struct dial {
	struct agent *agent;
	struct http_exchange *exchange;
	int next; /* among the addresses */
	uint16_t port;
	struct in_addr address; /* the only one to try, unless it is INADDR_ANY */
	char *host;             /* a name that is looked up first; NULL */
	struct lookup *lookup;
	struct lookup_address found[LOOKUP_ADDRESSES_MAX]; /* those to try instead */
	size_t found_count;
	int fd, last_error;
	struct source *io, *timer;
};

static void dial_free(struct dial *d)
{
	source_free(d->io);
	source_free(d->timer);
	lookup_cancel(d->lookup);
	fd_close(d->fd);
	free(d->host);
	free(d);
}

static void on_closed(void *data)
{
	dial_free(data);
}

static void dial_fail(struct dial *d)
{
	AUTO_ERROR struct error *err = NULL;
	int r = error_set_errno(&err, d->last_error ? d->last_error : ECONNREFUSED,
	    "cannot connect to port %u in the machine", d->port);
	http_respond_error(d->exchange, r, err);
	dial_free(d);
}

static void dial_done(struct dial *d)
{
	AUTO_BUFFER struct buffer early = { 0 };
	int stream = -1, fd = TAKE_FD(d->fd);
	struct loop *l = d->agent->loop;
	struct http_exchange *x = d->exchange;
	source_free(TAKE_PTR(d->io));
	dial_free(d);
	http_exchange_on_closed(x, NULL, NULL);
	if (http_upgrade(x, "holm-stream", &stream, &early) < 0) {
		fd_close(fd);
		return;
	}
	relay_new(l, stream, fd, &early, NULL, NULL, NULL);
}

/* The next one of a name's addresses, as next_address(). */
static socklen_t next_found(struct dial *d, struct sockaddr_storage *ret)
{
	struct lookup_address *f = &d->found[d->next];
	if (d->next >= (int)d->found_count) {
		d->next = ADDRESSES + 1;
		return 0;
	}
	d->next++;
	*ret = f->address;
	/* sin6_port is at the same place */
	((struct sockaddr_in *)ret)->sin_port = htons(d->port);
	return f->size;
}

/* The next address to try: the one that was asked for; or else 127.0.0.1, ::1, the machine's own.
 * Its size, 0 when there is none. */
static socklen_t next_address(struct dial *d, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	uint8_t prefix = 0;
	if (d->found_count)
		return next_found(d, ret);
	memset(ret, 0, sizeof *ret);
	if (d->address.s_addr != INADDR_ANY) {
		*four =
		    (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(d->port), .sin_addr = d->address };
		return d->next++ == 0 ? sizeof *four : 0;
	}
	switch (d->next++) {
	case 0:
		*four = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(d->port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};
		return sizeof *four;
	case 1:
		*six = (struct sockaddr_in6){
			.sin6_family = AF_INET6,
			.sin6_port = htons(d->port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		};
		return sizeof *six;
	case 2:
		*four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(d->port) };
		if (!d->agent->boot->network.address ||
		    network_parse_cidr(d->agent->boot->network.address, &four->sin_addr.s_addr, &prefix) < 0)
			return 0;
		return sizeof *four;
	default:
		return 0;
	}
}

/* There is no connecting of UDP that fails: the relay finds out where the service listens. */
static void start_udp(struct dial *d)
{
	AUTO_BUFFER struct buffer early = { 0 };
	struct udp_targets targets = { .count = 0 };
	struct loop *l = d->agent->loop;
	struct http_exchange *x = d->exchange;
	int stream = -1;
	while (d->next < ADDRESSES) {
		socklen_t size = next_address(d, &targets.items[targets.count].address);
		targets.items[targets.count].size = size;
		targets.count += size > 0;
	}
	dial_free(d);
	http_exchange_on_closed(x, NULL, NULL);
	if (http_upgrade(x, "holm-stream", &stream, &early) >= 0)
		udp_relay_start(l, stream, &targets, &early);
}

static void try_next(struct dial *d);

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct dial *d = data;
	int code = 0;
	socklen_t size = sizeof code;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code == 0) {
		dial_done(d);
		return;
	}
	d->last_error = d->last_error ? d->last_error : code;
	try_next(d);
}

static int open_socket(int family)
{
	int retries = SYN_RETRIES, one = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof retries);
		/* A client that writes little pieces expects them to go out at once. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
	return fd;
}

static void try_next(struct dial *d)
{
	struct sockaddr_storage address;
	for (socklen_t size; (size = next_address(d, &address)) > 0 || d->next <= ADDRESSES;) {
		source_free(TAKE_PTR(d->io));
		fd_close(TAKE_FD(d->fd));
		if (size == 0)
			continue;
		d->fd = open_socket(address.ss_family);
		if (d->fd >= 0 && connect(d->fd, (struct sockaddr *)&address, size) == 0) {
			dial_done(d);
			return;
		}
		if (d->fd >= 0 && errno == EINPROGRESS &&
		    loop_add_io(d->agent->loop, d->fd, EPOLLOUT, on_io, d, &d->io) >= 0)
			return;
		d->last_error = d->last_error ? d->last_error : errno;
	}
	dial_fail(d);
}

static void on_timer(struct source *s, void *data)
{
	struct dial *d = data;
	d->last_error = ETIMEDOUT;
	dial_fail(d);
}

/* "host": an address, or a name for start_tcp(). */
static int read_host(struct json_object *body, int udp, struct dial *d, struct error **err)
{
	const char *host = NULL;
	int r = json_get_string(body, "host", &host, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (udp || d->address.s_addr != INADDR_ANY || !resolv_word_is_valid(host))
		return error_set(err, EINVAL, "not a host that can be connected to");
	d->found_count = lookup_literal(host, d->found);
	if (!d->found_count)
		d->host = xstrdup(host);
	return 0;
}

/* Reads what a request names into d. 0 or -errno, never -ENOENT. */
static int read_request(struct http_exchange *x, int *ret_udp, struct dial *d, struct error **err)
{
	const char *protocol = NULL, *address = NULL;
	uint64_t port = 0;
	struct json_object *body = http_exchange_json(x, err);
	if (!body)
		return -EINVAL;
	int r;
	if ((r = json_get_string(body, "protocol", &protocol, err)) < 0 ||
	    (r = json_get_u64(body, "port", &port, err)) < 0)
		return r == -ENOENT ? -EINVAL : r;
	if ((!streq(protocol, "tcp") && !streq(protocol, "udp")) || port == 0 || port > 65535)
		return error_set(err, EINVAL, "not a port that can be connected to");
	r = json_get_string(body, "address", &address, err);
	if ((r < 0 && r != -ENOENT) || (r == 0 && inet_pton(AF_INET, address, &d->address) != 1))
		return error_set(err, EINVAL, "not an address that can be connected to");
	*ret_udp = streq(protocol, "udp");
	d->port = (uint16_t)port;
	return read_host(body, *ret_udp, d, err);
}

static void on_found(const struct lookup_address *found, size_t count, void *data)
{
	struct dial *d = data;
	d->lookup = NULL;
	memcpy(d->found, found, count * sizeof *found);
	d->found_count = count;
	if (count) {
		try_next(d);
		return;
	}
	AUTO_ERROR struct error *err = NULL;
	int r = error_set_errno(&err, EHOSTUNREACH, "the machine knows no host \"%s\"", d->host);
	http_respond_error(d->exchange, r, err);
	dial_free(d);
}

static void start_tcp(struct dial *d)
{
	if (!d->host) {
		try_next(d);
		return;
	}
	d->last_error = -lookup_start(d->agent, d->host, on_found, d, &d->lookup);
	if (d->last_error)
		dial_fail(d);
}

void dial_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	struct dial wanted = { .agent = a, .exchange = x, .fd = -1 };
	int udp = 0;
	int r = read_request(x, &udp, &wanted, &err);
	if (r >= 0 && a->phase != PHASE_RUNNING)
		r = error_set(&err, EAGAIN, "the machine is not running");
	if (r < 0) {
		free(wanted.host);
		http_respond_error(x, r, err);
		return;
	}
	struct dial *d = xmemdup(&wanted, sizeof wanted);
	http_exchange_on_closed(x, on_closed, d);
	loop_add_timer(a->loop, clock_deadline(CONNECT_MS), on_timer, d, &d->timer);
	if (udp)
		start_udp(d);
	else
		start_tcp(d);
}
