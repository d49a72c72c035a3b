/* SPDX-License-Identifier: Apache-2.0
 * A connected UDP socket on one side, a stream on the other. A datagram that finds the stream full
 * is dropped, as a network would. */
#include "agent/service/udp_relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { OUT_MAX = 256 * 1024, IN_MAX = 2 * (UDP_DATAGRAM_MAX + 2) };

struct udp_relay {
	int stream, udp;
	struct source *stream_source, *udp_source, *timer;
	struct buffer in, out; /* of the stream */
};

static void udp_relay_free(struct udp_relay *r)
{
	source_free(r->stream_source);
	source_free(r->udp_source);
	source_free(r->timer);
	fd_close(r->stream);
	fd_close(r->udp);
	buffer_done(&r->in);
	buffer_done(&r->out);
	free(r);
}

int udp_relay_next(const struct buffer *b, const char **ret, size_t *ret_size)
{
	uint16_t size;
	if (b->size < sizeof size)
		return 0;
	memcpy(&size, b->data, sizeof size);
	size = ntohs(size);
	if (b->size < sizeof size + size)
		return 0;
	*ret = b->data + sizeof size;
	*ret_size = size;
	return 1;
}

static void to_udp(struct udp_relay *r)
{
	const char *data;
	size_t size;
	while (udp_relay_next(&r->in, &data, &size) > 0) {
		/* A refused datagram is reported by the next call; the service may start later. */
		if (send(r->udp, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
			(void)send(r->udp, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		buffer_consume(&r->in, sizeof(uint16_t) + size);
	}
}

/* 0, or -errno when the stream is gone. */
static int flush(struct udp_relay *r)
{
	while (r->out.size) {
		ssize_t n = buffer_write(&r->out, r->stream);
		if (n == -EAGAIN)
			break;
		if (n < 0 && n != -EINTR)
			return (int)n;
	}
	return source_set_events(r->stream_source, EPOLLIN | (r->out.size ? EPOLLOUT : 0));
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct udp_relay *r = data;
	source_set_timer(r->timer, clock_deadline(UDP_IDLE_MS));
	ssize_t n = buffer_read(&r->in, fd, UDP_DATAGRAM_MAX);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		udp_relay_free(r);
		return;
	}
	to_udp(r);
	if (flush(r) < 0)
		udp_relay_free(r);
}

static void on_udp(struct source *s, int fd, uint32_t events, void *data)
{
	struct udp_relay *r = data;
	char datagram[UDP_DATAGRAM_MAX];
	ssize_t n = recv(fd, datagram, sizeof datagram, MSG_DONTWAIT);
	if (n < 0)
		return;
	uint16_t size = htons((uint16_t)n);
	source_set_timer(r->timer, clock_deadline(UDP_IDLE_MS));
	if (r->out.size + sizeof size + (size_t)n <= OUT_MAX) {
		buffer_append(&r->out, &size, sizeof size);
		buffer_append(&r->out, datagram, (size_t)n);
	}
	if (flush(r) < 0)
		udp_relay_free(r);
}

static void on_timer(struct source *s, void *data)
{
	udp_relay_free(data);
}

void udp_relay_start(struct loop *l, int stream, int udp, const struct buffer *early)
{
	struct udp_relay *r = xnew(struct udp_relay);
	*r = (struct udp_relay){ .stream = stream, .udp = udp };
	buffer_init(&r->in, IN_MAX);
	buffer_init(&r->out, OUT_MAX);
	if (buffer_append(&r->in, early->data, early->size) < 0 ||
	    loop_add_timer(l, clock_deadline(UDP_IDLE_MS), on_timer, r, &r->timer) < 0 ||
	    loop_add_io(l, stream, EPOLLIN, on_stream, r, &r->stream_source) < 0 ||
	    loop_add_io(l, udp, EPOLLIN, on_udp, r, &r->udp_source) < 0) {
		udp_relay_free(r);
		return;
	}
	to_udp(r);
}
