/* SPDX-License-Identifier: Apache-2.0
 * Published UDP ports. Each client address is a flow. It has a connected socket in the machine's
 * network, if the isolation gives such sockets; else a stream to the agent, on which every datagram
 * has a 2-byte big-endian length in front. A flow ends after a minute without a datagram, or when a
 * new client comes and there are FLOWS_MAX already: the least recently used one goes. Datagrams
 * that find no room are dropped, as networks do.
 *
 * A service may listen on one address only. Where nobody listens, the kernel answers on the
 * loopback with an error, mostly before send(2) returns. As long as the service has not answered, a
 * datagram that was refused goes to the next address, once to each. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/udp_relay.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

enum {
	FLOWS_MAX = 1024, /* of a machine: sessions need streams and descriptors, too */
	BUCKETS = 256,
	FLOW_IDLE_MS = 60 * 1000,
	DATAGRAM_MAX = 65535,
	QUEUE_MAX = 256 * 1024,
	DATAGRAMS_A_TURN = 32,
};

struct udp_flow {
	struct udp_flow *next;          /* of the same bucket */
	struct udp_flow *newer, *older; /* by the last use */
	struct published *port;
	struct sockaddr_storage client;
	socklen_t client_size;
	uint64_t used_ms;
	int fd; /* the stream, or the socket inside; -1: not yet */
	struct source *source;
	struct buffer out; /* datagrams on their way in, each with its length */
	/* by a stream */
	struct http_call *call; /* while dialling */
	struct buffer in;
	/* by a socket inside */
	int is_direct, waits; /* for a socket */
	int has_answered;     /* the service, from the present address */
	unsigned address, refusals;
	struct buffer last; /* the datagram that may have been refused */
};

struct udp_flows {
	struct udp_flow *buckets[BUCKETS];
	struct udp_flow *newest, *oldest;
	size_t count;
	struct source *timer; /* when the oldest one may have been idle for too long */
};

static struct udp_flow **bucket_of(const struct published *p, const struct sockaddr_storage *client,
    socklen_t client_size)
{
	const unsigned char *at = (const unsigned char *)client;
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)p->fd;
	for (socklen_t i = 0; i < client_size; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return &p->keeper->publisher->flows->buckets[hash % BUCKETS];
}

static void list_remove(struct udp_flows *all, struct udp_flow *f)
{
	*(f->newer ? &f->newer->older : &all->newest) = f->older;
	*(f->older ? &f->older->newer : &all->oldest) = f->newer;
	f->newer = f->older = NULL;
}

static void list_add(struct udp_flows *all, struct udp_flow *f)
{
	f->older = all->newest;
	*(all->newest ? &all->newest->newer : &all->oldest) = f;
	all->newest = f;
}

static void flow_free(struct udp_flow *f)
{
	struct udp_flows *all = f->port->keeper->publisher->flows;
	struct udp_flow **at = bucket_of(f->port, &f->client, f->client_size);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	list_remove(all, f);
	all->count--;
	http_call_cancel(f->call);
	source_free(f->source);
	fd_close(f->fd);
	buffer_done(&f->last);
	buffer_done(&f->out);
	buffer_done(&f->in);
	free(f);
}

static void touch(struct udp_flow *f)
{
	struct udp_flows *all = f->port->keeper->publisher->flows;
	f->used_ms = clock_now_ms();
	if (all->newest == f)
		return;
	list_remove(all, f);
	list_add(all, f);
}

static void send_to_client(const struct udp_flow *f, const char *bytes, size_t size)
{
	sendto(f->port->fd, bytes, size, MSG_DONTWAIT, (const struct sockaddr *)&f->client, f->client_size);
}

/* ---- by a stream ---- */

static void flow_flush(struct udp_flow *f)
{
	if (!f->source)
		return;
	while (f->out.size) {
		ssize_t n = buffer_send(&f->out, f->fd);
		if (n <= 0)
			break;
	}
	source_set_events(f->source, EPOLLIN | (f->out.size ? EPOLLOUT : 0));
}

/* Sends the complete datagrams in f->in to the client. */
static void deliver(struct udp_flow *f)
{
	while (f->in.size >= 2) {
		const unsigned char *head = (const unsigned char *)f->in.data;
		size_t size = (size_t)head[0] << 8 | head[1];
		if (f->in.size < size + 2)
			return;
		send_to_client(f, f->in.data + 2, size);
		buffer_consume(&f->in, size + 2);
	}
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct udp_flow *f = data;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = buffer_read(&f->in, fd, DATAGRAM_MAX);
		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			flow_free(f);
			return;
		}
		touch(f);
		deliver(f);
	}
	flow_flush(f);
}

static void on_dialled(int fd, struct buffer *early, void *data)
{
	struct udp_flow *f = data;
	f->call = NULL;
	f->fd = fd;
	if (buffer_append(&f->in, early->data, early->size) < 0 ||
	    loop_add_io(f->port->keeper->loop, fd, EPOLLIN, on_stream, f, &f->source) < 0) {
		flow_free(f);
		return;
	}
	deliver(f);
	flow_flush(f);
}

static void on_dial_failed(int code, struct json_object *body, const struct error *err, void *data)
{
	struct udp_flow *f = data;
	f->call = NULL;
	flow_free(f);
}

static int dial_by_stream(struct udp_flow *f)
{
	return publish_dial(f->port, on_dialled, on_dial_failed, f, &f->call);
}

/* ---- by a socket inside ---- */

static void on_inside(struct source *s, int fd, uint32_t events, void *data);

/* Connects a socket to the present address. 0; -EAGAIN: the flow waits for one; -errno. */
static int connect_inside(struct udp_flow *f)
{
	struct inside_address to;
	if (!publish_inside_address(f->port, f->address, &to))
		return -ECONNREFUSED;
	int r = keeper_open_socket(f->port->keeper, to.kind);
	f->waits = r == -EAGAIN;
	if (r < 0)
		return r;
	AUTO_FD int fd = r;
	if (connect(fd, (const struct sockaddr *)&to.address, to.size) < 0)
		return -errno;
	source_free(TAKE_PTR(f->source));
	fd_close(TAKE_FD(f->fd));
	f->fd = TAKE_FD(fd);
	f->is_direct = 1;
	f->has_answered = 0;
	return loop_add_io(f->port->keeper->loop, f->fd, EPOLLIN, on_inside, f, &f->source);
}

/* Goes on to the next address. 0, -EAGAIN, or -ECONNREFUSED when each had its turn. */
static int next_address(struct udp_flow *f)
{
	struct inside_address to;
	unsigned count = 0;
	while (publish_inside_address(f->port, count, &to))
		count++;
	while (++f->refusals < count) {
		f->address = (f->address + 1) % count;
		int r = connect_inside(f);
		if (r == 0 || r == -EAGAIN)
			return r;
	}
	return -ECONNREFUSED;
}

/* Whether an answer "nobody listens" has come; takes it. */
static int is_refused(const struct udp_flow *f)
{
	int code = 0;
	socklen_t size = sizeof code;
	return getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code == ECONNREFUSED;
}

static void send_last(struct udp_flow *f)
{
	do
		(void)!send(f->fd, f->last.data, f->last.size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (is_refused(f) && next_address(f) == 0);
}

static void send_inside(struct udp_flow *f, const char *bytes, size_t size)
{
	if (f->has_answered && (send(f->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ECONNREFUSED))
		return;
	(void)is_refused(f); /* the datagram before */
	f->has_answered = 0;
	f->refusals = 0;
	buffer_consume(&f->last, f->last.size);
	buffer_append(&f->last, bytes, size);
	send_last(f);
}

/* Sends the datagrams that wait, as far as it goes. */
static void flush_inside(struct udp_flow *f)
{
	const char *bytes;
	size_t size;
	while (!f->waits && udp_relay_next(&f->out, &bytes, &size)) {
		send_inside(f, bytes, size);
		buffer_consume(&f->out, 2 + size);
	}
}

static void on_inside(struct source *s, int fd, uint32_t events, void *data)
{
	static char bytes[DATAGRAM_MAX];
	struct udp_flow *f = data;
	ssize_t n = 0;
	for (int i = 0; i < DATAGRAMS_A_TURN && (n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0; i++) {
		f->has_answered = 1;
		touch(f);
		send_to_client(f, bytes, (size_t)n);
	}
	if (n >= 0 || errno != ECONNREFUSED)
		return;
	if (!f->has_answered && f->last.size && next_address(f) == 0)
		send_last(f);
	f->has_answered = 0;
}

/* The flow has no socket yet, or waits for the one to the next address. 0, or -errno: it goes no
 * further. */
static int begin_inside(struct udp_flow *f)
{
	int r = connect_inside(f);
	if (r == -EAGAIN)
		return 0;
	if (r < 0 && !f->is_direct)
		return dial_by_stream(f);
	if (r < 0 && next_address(f) < 0)
		return 0;
	if (f->last.size)
		send_last(f);
	flush_inside(f);
	return 0;
}

void publish_udp_sockets(struct publisher *p)
{
	for (struct udp_flow *f = p->flows ? p->flows->newest : NULL, *older; f; f = older) {
		older = f->older;
		if (f->waits && begin_inside(f) < 0)
			flow_free(f);
	}
}

/* ---- flows ---- */

static void on_idle(struct source *s, void *data)
{
	struct udp_flows *all = data;
	uint64_t now = clock_now_ms();
	while (all->oldest && all->oldest->used_ms + FLOW_IDLE_MS <= now)
		flow_free(all->oldest);
	source_set_timer(all->timer, all->oldest ? all->oldest->used_ms + FLOW_IDLE_MS : UINT64_MAX);
}

static struct udp_flow *find_flow(struct published *p, const struct sockaddr_storage *client, socklen_t size)
{
	struct udp_flow *f = *bucket_of(p, client, size);
	while (f && (f->port != p || f->client_size != size || memcmp(&f->client, client, size) != 0))
		f = f->next;
	return f;
}

static struct udp_flow *new_flow(struct published *p, const struct sockaddr_storage *client, socklen_t size)
{
	struct udp_flows *all = p->keeper->publisher->flows;
	if (all->count >= FLOWS_MAX)
		flow_free(all->oldest);
	struct udp_flow **bucket = bucket_of(p, client, size);
	struct udp_flow *f = xnew(struct udp_flow);
	f->port = p;
	f->client = *client;
	f->client_size = size;
	f->fd = -1;
	f->used_ms = clock_now_ms();
	if (!all->count)
		source_set_timer(all->timer, f->used_ms + FLOW_IDLE_MS);
	buffer_init(&f->last, DATAGRAM_MAX);
	buffer_init(&f->out, QUEUE_MAX);
	buffer_init(&f->in, QUEUE_MAX);
	f->next = *bucket;
	*bucket = f;
	list_add(all, f);
	all->count++;
	if (begin_inside(f) < 0) {
		flow_free(f);
		return NULL;
	}
	return f;
}

static void pass_in(struct udp_flow *f, const char *bytes, size_t size)
{
	unsigned char head[2] = { (unsigned char)(size >> 8), (unsigned char)size };
	touch(f);
	if (f->is_direct && !f->waits) {
		send_inside(f, bytes, size);
		return;
	}
	if (f->out.size + size + sizeof head > QUEUE_MAX)
		return;
	buffer_append(&f->out, head, sizeof head);
	buffer_append(&f->out, bytes, size);
	if (!f->is_direct)
		flow_flush(f);
}

static struct udp_flows *flows_new(struct loop *l)
{
	struct udp_flows *all = xnew(struct udp_flows);
	if (loop_add_timer(l, UINT64_MAX, on_idle, all, &all->timer) >= 0)
		return all;
	free(all);
	return NULL;
}

void publish_udp_readable(struct published *p)
{
	static char bytes[DATAGRAM_MAX];
	struct publisher *all = p->keeper->publisher;
	if (!all->flows && !(all->flows = flows_new(p->keeper->loop)))
		return;
	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct sockaddr_storage client = { 0 };
		socklen_t size = sizeof client;
		ssize_t n = recvfrom(p->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&client, &size);
		if (n < 0)
			return;
		struct udp_flow *f = find_flow(p, &client, size);
		if (!f)
			f = new_flow(p, &client, size);
		if (f)
			pass_in(f, bytes, (size_t)n);
	}
}

void publish_udp_free(struct published *p)
{
	struct udp_flows *all = p->keeper->publisher->flows;
	for (struct udp_flow *f = all ? all->newest : NULL, *older; f; f = older) {
		older = f->older;
		if (f->port == p)
			flow_free(f);
	}
}

void publish_udp_end(struct publisher *p)
{
	if (!p->flows)
		return;
	source_free(p->flows->timer);
	free(TAKE_PTR(p->flows));
}
