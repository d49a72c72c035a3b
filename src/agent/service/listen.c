/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/listen: a port of the machine's loopback interface, for as long as the request's answer
 * is open. Each connection is a line of the answer; POST /v1/accept with its number fetches it. One
 * that nobody fetches in time is closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/core/agent.h"
#include "agent/service/listening_list.h"
#include "agent/service/service.h"
#include "base/accept.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { LISTENERS_MAX = 1024, PENDING_MAX = 64, FETCH_MS = 30 * 1000, BACKLOG = 64, FAMILIES = 2 };

struct listener;

/* A connection that waits to be fetched. */
struct pending {
	struct pending *next;
	struct listener *listener;
	uint64_t number;
	int fd;
	struct source *timer;
};

struct listener {
	struct listener *next;
	struct agent *agent;
	struct http_exchange *exchange;
	int fds[FAMILIES];
	uint16_t port;
	struct source *sources[FAMILIES];
	struct pending *pending;
	size_t count;
};

static void set_accepting(struct listener *l, int on)
{
	for (size_t i = 0; i < FAMILIES; i++)
		if (l->sources[i])
			source_set_events(l->sources[i], on ? EPOLLIN : 0);
}

static void pending_free(struct pending *p)
{
	struct listener *l = p->listener;
	for (struct pending **at = &l->pending; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	if (l->count-- == PENDING_MAX)
		set_accepting(l, 1);
	source_free(p->timer);
	fd_close(p->fd);
	free(p);
}

static void listener_free(struct listener *l)
{
	for (struct listener **at = &l->agent->listeners; *at; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
	while (l->pending)
		pending_free(l->pending);
	for (size_t i = 0; i < FAMILIES; i++) {
		source_free(l->sources[i]);
		fd_close(l->fds[i]);
	}
	free(l);
}

static void on_closed(void *data)
{
	listener_free(data);
}

static void on_timer(struct source *s, void *data)
{
	pending_free(data);
}

static void tell(struct listener *l, uint64_t number, const struct sockaddr_storage *from)
{
	const int is_four = from->ss_family == AF_INET;
	const struct sockaddr_in *four = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	const void *bytes = is_four ? (const void *)&four->sin_addr : (const void *)&six->sin6_addr;
	char text[INET6_ADDRSTRLEN] = "";
	struct json_object *line = json_object_new_object();
	inet_ntop(from->ss_family, bytes, text, sizeof text);
	json_add_u64(line, "connection", number);
	json_add_string(line, "address", text);
	json_add_u64(line, "port", ntohs(is_four ? four->sin_port : six->sin6_port));
	http_stream_json(l->exchange, line);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	static uint64_t counter;
	struct listener *l = data;
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	int one = 1, accepted = accept_connection(s, fd);
	if (accepted < 0)
		return;
	if (getpeername(accepted, (struct sockaddr *)&from, &size) < 0) { /* it was reset already */
		fd_close(accepted);
		return;
	}
	setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct pending *p = xnew(struct pending);
	*p = (struct pending){ .listener = l, .next = l->pending, .number = ++counter, .fd = accepted };
	l->pending = p;
	if (++l->count == PENDING_MAX)
		set_accepting(l, 0);
	loop_add_timer(l->agent->loop, clock_deadline(FETCH_MS), on_timer, p, &p->timer);
	tell(l, p->number, &from);
}

/* Listens on loopback; *port 0 becomes a free one. 0 or -errno. */
static int listen_on(struct listener *l, size_t i, uint16_t *port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t size = i == 0 ? sizeof four : sizeof six;
	struct sockaddr *address = i == 0 ? (struct sockaddr *)&four : (struct sockaddr *)&six;
	int one = 1;
	four.sin_port = six.sin6_port = htons(*port);
	l->fds[i] = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fds[i] < 0)
		return -errno;
	setsockopt(l->fds[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (i > 0)
		setsockopt(l->fds[i], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(l->fds[i], address, size) < 0 || listen(l->fds[i], BACKLOG) < 0 ||
	    getsockname(l->fds[i], address, &size) < 0)
		return -errno;
	*port = ntohs(i == 0 ? four.sin_port : six.sin6_port);
	return loop_add_io(l->agent->loop, l->fds[i], EPOLLIN, on_connection, l, &l->sources[i]);
}

void listen_leave_out(const struct agent *a, struct listening_set *s)
{
	for (const struct listener *l = a->listeners; l; l = l->next)
		listening_remove(s, l->port);
}

static size_t count_listeners(const struct agent *a)
{
	size_t n = 0;
	for (const struct listener *l = a->listeners; l; l = l->next)
		n++;
	return n;
}

static int read_port(struct http_exchange *x, const struct agent *a, uint16_t *ret, struct error **err)
{
	uint64_t port = 0;
	struct json_object *body = http_exchange_json(x, err);
	int r = body ? json_get_u64(body, "port", &port, err) : -EINVAL;
	if (r < 0 || port > 65535)
		return error_set(err, EINVAL, "not a port that can be listened on");
	if (a->phase != PHASE_RUNNING)
		return error_set(err, EAGAIN, "the machine is not running");
	if (count_listeners(a) >= LISTENERS_MAX)
		return error_set(err, EBUSY, "the machine has %d such ports, which is the most", LISTENERS_MAX);
	*ret = (uint16_t)port;
	return 0;
}

/* IPv6 is an extra: a host without it has none inside either. */
static int listen_both(struct listener *l, uint16_t *port, struct error **err)
{
	int r = listen_on(l, 0, port);
	if (r < 0)
		return error_set_errno(err, r, "cannot listen on port %u in the machine", *port);
	if (listen_on(l, 1, port) < 0)
		fd_close(TAKE_FD(l->fds[1]));
	return 0;
}

void listen_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	uint16_t port = 0;
	int r = read_port(x, a, &port, &err);
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	struct listener *l = xnew(struct listener);
	*l = (struct listener){ .agent = a, .exchange = x, .fds = { -1, -1 }, .next = a->listeners };
	a->listeners = l;
	r = listen_both(l, &port, &err);
	if (r < 0) {
		listener_free(l);
		http_respond_error(x, r, err);
		return;
	}
	l->port = port;
	struct json_object *line = json_object_new_object();
	json_add_u64(line, "port", port);
	http_exchange_on_closed(x, on_closed, l);
	http_stream_begin(x, 200);
	http_stream_json(x, line);
}

static struct pending *find(const struct agent *a, uint64_t number)
{
	for (const struct listener *l = a->listeners; l; l = l->next)
		for (struct pending *p = l->pending; p; p = p->next)
			if (p->number == number)
				return p;
	return NULL;
}

void accept_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	AUTO_BUFFER struct buffer early = { 0 };
	uint64_t number = 0;
	int stream = -1;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? json_get_u64(body, "connection", &number, &err) : -EINVAL;
	struct pending *p = r < 0 ? NULL : find(a, number);
	if (!p) {
		r = error_set(&err, ENOENT, "there is no such connection");
		http_respond_error(x, r, err);
		return;
	}
	int fd = TAKE_FD(p->fd);
	pending_free(p);
	if (http_upgrade(x, "holm-stream", &stream, &early) < 0)
		fd_close(fd);
	else
		relay_new(a->loop, stream, fd, &early, NULL, NULL, NULL);
}
