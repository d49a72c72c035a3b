/* SPDX-License-Identifier: Apache-2.0
 * Published UDP ports. Each client address is a flow with a stream of its own, on which every
 * datagram has a 2-byte big-endian length in front. A flow ends after a minute without a datagram,
 * or when a new client comes and there are FLOWS_MAX already: the least recently used one goes.
 * Datagrams that find no room are dropped, as networks do. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/keeper_private.h"
#include "keeper/ports/publish.h"

enum {
	FLOWS_MAX = 1024, /* of a machine: sessions need streams, too */
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
	struct http_call *call; /* while dialling */
	int fd;
	struct source *source, *timer;
	struct buffer out, in;
};

struct udp_flows {
	struct udp_flow *buckets[BUCKETS];
	struct udp_flow *newest, *oldest;
	size_t count;
};

static struct udp_flow **bucket_of(const struct published *p, const struct sockaddr_storage *client,
    socklen_t client_size)
{
	const unsigned char *at = (const unsigned char *)client;
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)p->fd;
	for (socklen_t i = 0; i < client_size; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return &p->keeper->udp_flows->buckets[hash % BUCKETS];
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
	struct udp_flows *all = f->port->keeper->udp_flows;
	struct udp_flow **at = bucket_of(f->port, &f->client, f->client_size);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	list_remove(all, f);
	all->count--;
	http_call_cancel(f->call);
	source_free(f->source);
	source_free(f->timer);
	fd_close(f->fd);
	buffer_done(&f->out);
	buffer_done(&f->in);
	free(f);
}

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
		sendto(f->port->fd, f->in.data + 2, size, MSG_DONTWAIT, (const struct sockaddr *)&f->client,
		    f->client_size);
		buffer_consume(&f->in, size + 2);
	}
}

static void touch(struct udp_flow *f)
{
	struct udp_flows *all = f->port->keeper->udp_flows;
	list_remove(all, f);
	list_add(all, f);
	source_set_timer(f->timer, clock_deadline(FLOW_IDLE_MS));
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

static void on_idle(struct source *s, void *data)
{
	flow_free(data);
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

static struct udp_flow *find_flow(struct published *p, const struct sockaddr_storage *client, socklen_t size)
{
	struct udp_flow *f = *bucket_of(p, client, size);
	while (f && (f->port != p || f->client_size != size || memcmp(&f->client, client, size) != 0))
		f = f->next;
	return f;
}

static struct udp_flow *new_flow(struct published *p, const struct sockaddr_storage *client, socklen_t size)
{
	struct udp_flows *all = p->keeper->udp_flows;
	if (all->count >= FLOWS_MAX)
		flow_free(all->oldest);
	struct udp_flow **bucket = bucket_of(p, client, size);
	struct udp_flow *f = xnew(struct udp_flow);
	f->port = p;
	f->client = *client;
	f->client_size = size;
	f->fd = -1;
	buffer_init(&f->out, QUEUE_MAX);
	buffer_init(&f->in, QUEUE_MAX);
	f->next = *bucket;
	*bucket = f;
	list_add(all, f);
	all->count++;
	if (loop_add_timer(p->keeper->loop, UINT64_MAX, on_idle, f, &f->timer) < 0 ||
	    publish_dial(p, on_dialled, on_dial_failed, f, &f->call) < 0) {
		flow_free(f);
		return NULL;
	}
	return f;
}

static void queue_datagram(struct udp_flow *f, const char *bytes, size_t size)
{
	unsigned char head[2] = { (unsigned char)(size >> 8), (unsigned char)size };
	if (f->out.size + size + sizeof head > QUEUE_MAX)
		return;
	buffer_append(&f->out, head, sizeof head);
	buffer_append(&f->out, bytes, size);
	touch(f);
	flow_flush(f);
}

void publish_udp_readable(struct published *p)
{
	static char bytes[DATAGRAM_MAX];
	if (!p->keeper->udp_flows)
		p->keeper->udp_flows = xnew(struct udp_flows);
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
			queue_datagram(f, bytes, (size_t)n);
	}
}

void publish_udp_free(struct published *p)
{
	struct udp_flows *all = p->keeper->udp_flows;
	for (struct udp_flow *f = all ? all->newest : NULL, *older; f; f = older) {
		older = f->older;
		if (f->port == p)
			flow_free(f);
	}
}
