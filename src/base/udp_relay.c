/* SPDX-License-Identifier: Apache-2.0
 * A connected UDP socket on one side, a stream on the other. A datagram that finds the stream full
 * is dropped, as a network would.
 *
 * A service may listen on one address family only. Where nobody listens, the kernel answers on the
 * loopback with an error, mostly before send(2) returns. So the datagram that was refused goes to
 * the next address, once to each; the address that did not refuse stays. */
#include "base/udp_relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum { OUT_MAX = 256 * 1024, IN_MAX = 2 * (UDP_DATAGRAM_MAX + 2) };

struct udp_relay {
	struct loop *loop;
	struct udp_targets targets;
	size_t target, refusals; /* the one in use; how many have refused the last datagram */
	struct buffer last;      /* that datagram */
	int stream, udp;
	struct source *stream_source, *udp_source, *timer;
	struct buffer in, out; /* of the stream */
};

static void udp_relay_free(struct udp_relay *relay)
{
	source_free(relay->stream_source);
	source_free(relay->udp_source);
	source_free(relay->timer);
	fd_close(relay->stream);
	fd_close(relay->udp);
	buffer_done(&relay->in);
	buffer_done(&relay->out);
	buffer_done(&relay->last);
	free(relay);
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

static void on_udp(struct source *s, int fd, uint32_t events, void *data);

/* Replaces the socket by one to the present target. 0 or -errno; then the old one stays. */
static int connect_target(struct udp_relay *relay)
{
	const struct sockaddr *address = (const struct sockaddr *)&relay->targets.items[relay->target].address;
	AUTO_FD int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, address, relay->targets.items[relay->target].size) < 0)
		return -errno;
	source_free(TAKE_PTR(relay->udp_source));
	fd_close(TAKE_FD(relay->udp));
	relay->udp = TAKE_FD(fd);
	return loop_add_io(relay->loop, relay->udp, EPOLLIN, on_udp, relay, &relay->udp_source);
}

/* Goes on to the next target that a socket can be connected to. 0, or -ECONNREFUSED when each had
 * its turn for this datagram. */
static int next_target(struct udp_relay *relay)
{
	while (++relay->refusals < relay->targets.count) {
		relay->target = (relay->target + 1) % relay->targets.count;
		if (connect_target(relay) >= 0)
			return 0;
	}
	return -ECONNREFUSED;
}

/* Whether an answer "nobody listens" has come; takes it. */
static int is_refused(const struct udp_relay *relay)
{
	int code = 0;
	socklen_t size = sizeof code;
	return getsockopt(relay->udp, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code == ECONNREFUSED;
}

static void send_last(struct udp_relay *relay)
{
	do
		(void)!send(relay->udp, relay->last.data, relay->last.size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (is_refused(relay) && next_target(relay) >= 0);
}

static void to_udp(struct udp_relay *relay)
{
	const char *data;
	size_t size;
	while (udp_relay_next(&relay->in, &data, &size) > 0) {
		relay->refusals = 0;
		if (is_refused(relay)) /* the datagram before; the service may have ended */
			next_target(relay);
		relay->refusals = 0;
		buffer_consume(&relay->last, relay->last.size);
		buffer_append(&relay->last, data, size);
		send_last(relay);
		buffer_consume(&relay->in, sizeof(uint16_t) + size);
	}
}

/* 0, or -errno when the stream is gone. */
static int flush(struct udp_relay *relay)
{
	while (relay->out.size) {
		ssize_t n = buffer_write(&relay->out, relay->stream);
		if (n == -EAGAIN)
			break;
		if (n < 0 && n != -EINTR)
			return (int)n;
	}
	return source_set_events(relay->stream_source, EPOLLIN | (relay->out.size ? EPOLLOUT : 0));
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct udp_relay *relay = data;
	source_set_timer(relay->timer, clock_deadline(UDP_IDLE_MS));
	ssize_t n = buffer_read(&relay->in, fd, UDP_DATAGRAM_MAX);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		udp_relay_free(relay);
		return;
	}
	to_udp(relay);
	if (flush(relay) < 0)
		udp_relay_free(relay);
}

static void on_udp(struct source *s, int fd, uint32_t events, void *data)
{
	struct udp_relay *relay = data;
	char datagram[UDP_DATAGRAM_MAX];
	ssize_t n = recv(fd, datagram, sizeof datagram, MSG_DONTWAIT);
	if (n == -1 && errno == ECONNREFUSED && relay->last.size && next_target(relay) >= 0)
		send_last(relay);
	if (n < 0)
		return;
	uint16_t size = htons((uint16_t)n);
	source_set_timer(relay->timer, clock_deadline(UDP_IDLE_MS));
	if (relay->out.size + sizeof size + (size_t)n <= OUT_MAX) {
		buffer_append(&relay->out, &size, sizeof size);
		buffer_append(&relay->out, datagram, (size_t)n);
	}
	if (flush(relay) < 0)
		udp_relay_free(relay);
}

static void on_timer(struct source *s, void *data)
{
	udp_relay_free(data);
}

void udp_relay_start(struct loop *l, int stream, const struct udp_targets *targets, const struct buffer *early)
{
	struct udp_relay *relay = xnew(struct udp_relay);
	*relay = (struct udp_relay){ .loop = l, .targets = *targets, .stream = stream, .udp = -1 };
	buffer_init(&relay->in, IN_MAX);
	buffer_init(&relay->out, OUT_MAX);
	buffer_init(&relay->last, UDP_DATAGRAM_MAX);
	if ((connect_target(relay) < 0 && next_target(relay) < 0) ||
	    buffer_append(&relay->in, early->data, early->size) < 0 ||
	    loop_add_timer(l, clock_deadline(UDP_IDLE_MS), on_timer, relay, &relay->timer) < 0 ||
	    loop_add_io(l, stream, EPOLLIN, on_stream, relay, &relay->stream_source) < 0) {
		udp_relay_free(relay);
		return;
	}
	to_udp(relay);
}
