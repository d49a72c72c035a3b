/* SPDX-License-Identifier: Apache-2.0
 * Queries that go to a name server, from the machine's network namespace. Each has a socket of its
 * own, connected, and so a port of its own, and an id that nobody can know; an answer has to repeat
 * both and the question. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "agent/engine/resolver_private.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"

enum { EACH_MAX = 100, ALL_MAX = 2048, SERVERS_MAX = 3, SERVER_MS = 2000, DNS_PORT = 53, LENGTH = 2 };

struct forward {
	struct forward *next;
	struct resolver *resolver;
	struct stream *stream; /* NULL: by UDP */
	struct sockaddr_in to;
	uint8_t *query; /* with the client's id */
	size_t size;
	uint16_t id; /* at the server */
	struct strv servers;
	size_t server; /* the next one */
	int fd;
	struct source *io, *timer, *deferred;
	struct buffer in, out; /* by TCP */
};

static size_t all_count;

static void disconnect(struct forward *f)
{
	source_free(TAKE_PTR(f->io));
	source_free(TAKE_PTR(f->timer));
	source_free(TAKE_PTR(f->deferred));
	fd_close(TAKE_FD(f->fd));
	buffer_done(&f->in);
	buffer_done(&f->out);
}

static void forward_free(struct forward *f)
{
	struct forward **at = &f->resolver->forwards;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->resolver->forward_count--;
	all_count--;
	disconnect(f);
	strv_done(&f->servers);
	free(f->query);
	free(f);
}

/* Ends f. */
static void answer(struct forward *f, uint8_t *data, size_t size)
{
	struct resolver *r = f->resolver;
	struct stream *s = f->stream;
	const struct sockaddr_in to = f->to;
	dns_set_id(data, dns_id(f->query));
	forward_free(f);
	if (s)
		stream_answer(s, data, size);
	else
		resolver_send(r, &to, data, size);
}

static void fail(struct forward *f)
{
	struct dns_query q;
	uint8_t data[DNS_QUERY_MAX];
	dns_parse(f->query, f->size, &q);
	answer(f, data, dns_answer(&q, DNS_SERVER_FAILURE, data));
}

static int is_answer(const struct forward *f, const uint8_t *data, size_t size)
{
	struct dns_query q;
	return dns_parse(f->query, f->size, &q) == 0 && dns_is_answer(&q, f->id, data, size);
}

/* ---- one server ---- */

static int connect_to(const char *server, int type)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(DNS_PORT) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT) };
	int is_four = inet_pton(AF_INET, server, &four.sin_addr) == 1;
	if (!is_four && inet_pton(AF_INET6, server, &six.sin6_addr) != 1)
		return -EINVAL;
	AUTO_FD int fd = socket(is_four ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0  ? -1 :
		is_four ? connect(fd, (const void *)&four, sizeof four) :
			  connect(fd, (const void *)&six, sizeof six);
	return r < 0 && errno != EINPROGRESS ? -errno : TAKE_FD(fd);
}

static void try_next(struct forward *f);

static void on_time(struct source *s, void *data)
{
	try_next(data);
}

static void on_datagram(struct source *s, int fd, uint32_t events, void *data)
{
	struct forward *f = data;
	static uint8_t bytes[DNS_MESSAGE_MAX];
	ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		try_next(f);
	else if (is_answer(f, bytes, (size_t)n))
		answer(f, bytes, (size_t)n);
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct forward *f = data;
	static uint8_t bytes[DNS_MESSAGE_MAX];
	if (f->out.size && (events & EPOLLOUT)) {
		if (buffer_send(&f->out, fd) < 0) {
			try_next(f);
			return;
		}
		if (!f->out.size)
			source_set_events(f->io, EPOLLIN);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = buffer_read(&f->in, fd, LENGTH + DNS_MESSAGE_MAX);
	if (n == -EAGAIN || n == -EINTR)
		return;
	size_t size = f->in.size >= LENGTH ? (size_t)(uint8_t)f->in.data[0] << 8 | (uint8_t)f->in.data[1] : SIZE_MAX;
	if (size != SIZE_MAX && f->in.size - LENGTH >= size) {
		memcpy(bytes, f->in.data + LENGTH, size);
		if (is_answer(f, bytes, size))
			answer(f, bytes, size);
		else
			try_next(f);
	} else if (n <= 0) {
		try_next(f);
	}
}

static int begin(struct forward *f, const char *server)
{
	struct loop *l = f->resolver->container->engine->loop;
	int stream = f->stream != NULL;
	if (getrandom(&f->id, sizeof f->id, 0) != sizeof f->id)
		return -EIO;
	f->fd = connect_to(server, stream ? SOCK_STREAM : SOCK_DGRAM);
	if (f->fd < 0)
		return f->fd;
	AUTOFREE uint8_t *query = xmalloc(f->size);
	memcpy(query, f->query, f->size);
	dns_set_id(query, f->id);
	buffer_init(&f->in, LENGTH + DNS_MESSAGE_MAX);
	buffer_init(&f->out, LENGTH + DNS_QUERY_MAX);
	if (stream) {
		const uint8_t length[LENGTH] = { (uint8_t)(f->size >> 8), (uint8_t)f->size };
		buffer_append(&f->out, length, sizeof length);
		buffer_append(&f->out, query, f->size);
	} else if (send(f->fd, query, f->size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		return -errno;
	}
	int r = loop_add_io(l, f->fd, EPOLLIN | (stream ? EPOLLOUT : 0), stream ? on_stream : on_datagram, f, &f->io);
	return r < 0 ? r : loop_add_timer(l, clock_deadline(SERVER_MS), on_time, f, &f->timer);
}

static void try_next(struct forward *f)
{
	disconnect(f);
	while (f->server < MIN(f->servers.count, (size_t)SERVERS_MAX)) {
		if (begin(f, f->servers.items[f->server++]) == 0)
			return;
		disconnect(f);
	}
	fail(f);
}

static void on_deferred(struct source *s, void *data)
{
	try_next(data);
}

int resolver_forward(struct resolver *r, const void *query, size_t size, const struct sockaddr_in *to,
    struct stream *stream)
{
	if (r->forward_count >= EACH_MAX || all_count >= ALL_MAX || size > DNS_QUERY_MAX)
		return -EBUSY;
	struct forward *f = xnew(struct forward);
	*f = (struct forward){ .resolver = r, .stream = stream, .size = size, .fd = -1, .next = r->forwards };
	f->to = to ? *to : f->to;
	f->query = xmalloc(size);
	memcpy(f->query, query, size);
	resolver_servers(r, &f->servers);
	r->forwards = f;
	r->forward_count++;
	all_count++;
	/* Later, so that no answer comes before this function has returned. */
	if (loop_add_deferred(r->container->engine->loop, on_deferred, f, &f->deferred) < 0) {
		forward_free(f);
		return -ENOMEM;
	}
	return 0;
}

void resolver_end_forwards(struct resolver *r)
{
	for (struct forward *f = r->forwards, *next; f; f = next) {
		next = f->next;
		forward_free(f);
	}
}

void resolver_forget_stream(struct resolver *r, const struct stream *s)
{
	for (struct forward *f = r->forwards, *next; f; f = next) {
		next = f->next;
		if (f->stream == s)
			forward_free(f);
	}
}
