/* SPDX-License-Identifier: Apache-2.0
 * Name lookups by way of the keeper, where passt reaches no resolver of the host's: name servers
 * with IPv6 addresses or scopes, or others than when the machine started. The machine's resolv.conf
 * has RESOLV_RELAY then, an address of the machine's own loopback interface, on which this file
 * listens. Each query by UDP, and each connection by TCP, is a stream to the keeper, which speaks
 * to the host's name server. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/core/agent.h"
#include "agent/core/network.h"
#include "agent/core/upcall.h"
#include "base/accept.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/resolv.h"
#include "base/udp_relay.h"

enum { DNS_PORT = 53, ASKED_MAX = 128, QUERY_MAX = 4096, ANSWER_MS = 15 * 1000, BACKLOG = 16 };

/* A query by UDP, or a connection. */
struct asked {
	struct asked *next, **link;
	struct names *names;
	struct sockaddr_in client;
	int fd; /* of the connection inside, or of the stream to the keeper */
	struct upcall *call;
	struct relay *relay;
	struct source *source, *timer;
	struct buffer bytes; /* the query, then the answer, with their length in front */
};

struct names {
	struct agent *agent;
	int udp, tcp;
	struct source *udp_source, *tcp_source;
	struct asked *asked;
	size_t count;
};

static void asked_free(struct asked *q)
{
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	q->names->count--;
	upcall_cancel(q->call);
	relay_free(q->relay);
	source_free(q->source);
	source_free(q->timer);
	fd_close(q->fd);
	buffer_done(&q->bytes);
	free(q);
}

static void on_timer(struct source *s, void *data)
{
	asked_free(data);
}

/* The oldest one gives way: its client has most likely given up, and many that are never answered
 * keep nobody else from an answer. */
static void make_room(struct names *n)
{
	struct asked *oldest = n->asked;
	if (n->count < ASKED_MAX)
		return;
	while (oldest->next)
		oldest = oldest->next;
	asked_free(oldest);
}

static struct asked *asked_new(struct names *n)
{
	make_room(n);
	struct asked *q = xnew(struct asked);
	*q = (struct asked){ .names = n, .fd = -1, .next = n->asked, .link = &n->asked };
	if (q->next)
		q->next->link = &q->next; /* NOLINT(clang-analyzer-unix.Malloc): it takes itself off the list */
	n->asked = q;
	n->count++;
	buffer_init(&q->bytes, UDP_DATAGRAM_MAX + sizeof(uint16_t));
	return q;
}

static void on_answer(struct source *s, int fd, uint32_t events, void *data)
{
	struct asked *q = data;
	const char *answer;
	size_t size;
	ssize_t n = buffer_read(&q->bytes, fd, UDP_DATAGRAM_MAX);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n > 0 && udp_relay_next(&q->bytes, &answer, &size) == 0)
		return;
	if (n > 0)
		sendto(q->names->udp, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&q->client,
		    sizeof q->client);
	asked_free(q);
}

/* The stream is new, so the query fits into it. */
static void on_query_opened(int fd, struct buffer *early, void *data)
{
	struct asked *q = data;
	q->call = NULL;
	q->fd = fd;
	if (fd < 0 || buffer_write(&q->bytes, fd) < 0 || q->bytes.size ||
	    loop_add_io(q->names->agent->loop, fd, EPOLLIN, on_answer, q, &q->source) < 0)
		asked_free(q);
}

static void on_datagram(struct source *s, int fd, uint32_t events, void *data)
{
	struct names *n = data;
	struct sockaddr_in client = { 0 };
	socklen_t size = sizeof client;
	char query[QUERY_MAX];
	ssize_t got = recvfrom(fd, query, sizeof query, MSG_DONTWAIT, (struct sockaddr *)&client, &size);
	if (got <= 0)
		return;
	struct asked *q = asked_new(n);
	uint16_t length = htons((uint16_t)got);
	q->client = client;
	buffer_append(&q->bytes, &length, sizeof length);
	buffer_append(&q->bytes, query, (size_t)got);
	if (loop_add_timer(n->agent->loop, clock_deadline(ANSWER_MS), on_timer, q, &q->timer) < 0)
		asked_free(q);
	else
		upcall_start(n->agent, "/v1/relay/names?protocol=udp", on_query_opened, q, &q->call);
}

static void on_relay_ended(struct relay *relay, void *data)
{
	asked_free(data);
}

static void on_connection_opened(int fd, struct buffer *early, void *data)
{
	struct asked *q = data;
	q->call = NULL;
	if (fd < 0 || relay_new(q->names->agent->loop, fd, TAKE_FD(q->fd), early, on_relay_ended, q, &q->relay) < 0)
		asked_free(q);
}

static void on_connection(struct source *s, int fd, uint32_t events, void *data)
{
	struct names *n = data;
	AUTO_FD int accepted = accept_connection(s, fd);
	if (accepted < 0)
		return;
	struct asked *q = asked_new(n);
	q->fd = TAKE_FD(accepted);
	upcall_start(n->agent, "/v1/relay/names?protocol=tcp", on_connection_opened, q, &q->call);
}

void names_stop(struct agent *a)
{
	struct names *n = TAKE_PTR(a->names);
	if (!n)
		return;
	while (n->asked)
		asked_free(n->asked); /* NOLINT(clang-analyzer-unix.Malloc): it takes itself off the list */
	source_free(n->udp_source);
	source_free(n->tcp_source);
	fd_close(n->udp);
	fd_close(n->tcp);
	free(n);
}

static int add_address(const struct sockaddr_in *address)
{
	struct netlink message;
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	netlink_init(&message);
	network_add_address(&message, (int)if_nametoindex("lo"), address->sin_addr.s_addr, 32);
	return netlink_do(fd, &message);
}

/* A socket of the machine's network on the address. A descriptor or -errno. */
static int open_socket(const struct sockaddr_in *address, int type)
{
	int on = 1;
	AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
		return -errno;
	return TAKE_FD(fd);
}

static int listen_inside(struct names *n)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(DNS_PORT) };
	inet_pton(AF_INET, RESOLV_RELAY, &address.sin_addr);
	int r = add_address(&address);
	if (r >= 0)
		r = n->udp = open_socket(&address, SOCK_DGRAM);
	if (r >= 0)
		r = n->tcp = open_socket(&address, SOCK_STREAM);
	if (r >= 0)
		r = loop_add_io(n->agent->loop, n->udp, EPOLLIN, on_datagram, n, &n->udp_source);
	return r < 0 ? r : loop_add_io(n->agent->loop, n->tcp, EPOLLIN, on_connection, n, &n->tcp_source);
}

void names_start(struct agent *a)
{
	if (a->names || !a->boot || a->boot->rescue || !strv_contains(&a->boot->resolv.nameservers, RESOLV_RELAY))
		return;
	a->names = xnew(struct names);
	*a->names = (struct names){ .agent = a, .udp = -1, .tcp = -1 };
	int r = listen_inside(a->names);
	if (r < 0) {
		log_error("names are not found: cannot listen on " RESOLV_RELAY ": %s", strerror(-r));
		names_stop(a);
	}
}
