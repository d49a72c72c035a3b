/* SPDX-License-Identifier: Apache-2.0
 * One stream of the multiplexed transport: a socketpair whose other end the application has.
 *
 * Towards the wire nothing is stored: nghttp2 asks for bytes when the window and the pipe have room
 * (mux_stream_read), and while there is no room the application's socket fills up. From the wire,
 * what the application does not take waits in `pending`; the window is opened again only as bytes
 * leave it, so a reader that stalls stops its own stream and no other.
 *
 * The application closes its end: what it wrote still goes out with END_STREAM; if the other side
 * has not ended by then, the stream is reset, which is how that side learns that nobody reads. A
 * descriptor that hung up leaves the loop (epoll would report it for ever); reading it never blocks
 * any more. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/mux.h"

static void update_events(struct mux_stream *s)
{
	if (s->source)
		source_set_events(s->source, (s->want_read ? EPOLLIN : 0) | (s->pending.size ? EPOLLOUT : 0));
}

static void consume(struct mux_stream *s, size_t size)
{
	if (!s->closed && size)
		nghttp2_session_consume_stream(s->mux->session, s->id, size);
}

static void reset_if_nobody_reads(struct mux_stream *s)
{
	if (s->hung_up && s->end_sent && !s->end_received && !s->closed)
		nghttp2_submit_rst_stream(s->mux->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

static void resume(struct mux_stream *s)
{
	if (!s->want_read)
		return;
	s->want_read = 0;
	if (!s->closed)
		nghttp2_session_resume_data(s->mux->session, s->id);
}

static void hang_up(struct mux_stream *s)
{
	s->hung_up = 1;
	source_free(TAKE_PTR(s->source));
	consume(s, s->pending.size);
	buffer_done(&s->pending);
	resume(s);
	reset_if_nobody_reads(s);
}

/* Passes pending bytes, and the end behind them, on to the application. */
static void deliver(struct mux_stream *s)
{
	while (s->pending.size) {
		ssize_t n = buffer_send(&s->pending, s->fd);
		if (n < 0)
			hang_up(s);
		if (n <= 0)
			return;
		consume(s, (size_t)n);
	}
	if (s->end_received && !s->shut) {
		s->shut = 1;
		shutdown(s->fd, SHUT_WR);
	}
}

/* Frees a stream that is over and has handed out everything; otherwise waits for what is
 * missing. */
static void settle(struct mux_stream *s)
{
	if (s->closed && s->pending.size == 0)
		mux_stream_free(s);
	else
		update_events(s);
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct mux_stream *s = data;
	mux_kick(s->mux);
	if (events & EPOLLOUT)
		deliver(s);
	if (events & EPOLLIN)
		resume(s);
	if (events & (EPOLLHUP | EPOLLERR) && !s->hung_up)
		hang_up(s);
	settle(s);
}

int mux_stream_new(struct mux *m, struct mux_stream **ret, int *ret_fd)
{
	int pair[2];
	int r = fd_socketpair(SOCK_STREAM | SOCK_NONBLOCK, pair);
	if (r < 0)
		return r;
	struct mux_stream *s = xnew(struct mux_stream);
	r = loop_add_io(m->loop, pair[0], 0, on_io, s, &s->source);
	if (r < 0) {
		fd_close(pair[0]);
		fd_close(pair[1]);
		free(s);
		return r;
	}
	s->mux = m;
	s->fd = pair[0];
	buffer_init(&s->pending, MUX_STREAM_WINDOW * 2);
	s->next = m->streams;
	s->link = &m->streams;
	if (s->next)
		s->next->link = &s->next;
	m->streams = s;
	m->stream_count++;
	*ret = s;
	*ret_fd = pair[1];
	return 0;
}

void mux_stream_free(struct mux_stream *s)
{
	source_free(s->source);
	fd_close(s->fd);
	buffer_done(&s->pending);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->mux->stream_count--;
	free(s);
}

void mux_stream_receive(struct mux_stream *s, const char *data, size_t size)
{
	if (s->hung_up) {
		consume(s, size);
		return;
	}
	if (s->pending.size == 0) {
		ssize_t n = send(s->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			consume(s, (size_t)n);
			data += n;
			size -= (size_t)n;
		}
	}
	if (size == 0)
		return;
	/* The window caps this: nghttp2 ends a connection that sends more. */
	if (buffer_append(&s->pending, data, size) < 0)
		hang_up(s);
	update_events(s);
}

void mux_stream_end_received(struct mux_stream *s)
{
	s->end_received = 1;
	deliver(s);
	update_events(s);
}

void mux_stream_end_sent(struct mux_stream *s)
{
	s->end_sent = 1;
	reset_if_nobody_reads(s);
}

void mux_stream_closed(struct mux_stream *s)
{
	s->closed = 1;
	s->want_read = 0;
	s->end_received = 1;
	if (!s->hung_up)
		deliver(s);
	settle(s);
}

ssize_t mux_stream_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
    nghttp2_data_source *source, void *data)
{
	struct mux_stream *s = source->ptr;
	ssize_t n;
	do
		n = read(s->fd, to, size);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN && !s->hung_up) {
		s->want_read = 1;
		update_events(s);
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}
