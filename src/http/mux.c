/* SPDX-License-Identifier: Apache-2.0
 * The multiplexed transport: HTTP/2 with prior knowledge (RFC 9113 3.3) over one pipe, each stream
 * a CONNECT (8.5).
 *
 * nghttp2 does frames, flow control and scheduling between streams; this file moves its bytes
 * through the pipe and says what is allowed. The other side may be hostile, so memory is bounded
 * whatever it sends: streams by number, each stream by its window, headers by size, queued control
 * frames by count; there is no header table, no continuation, no push. What breaks the protocol
 * ends the mux: streams see end of file, and `closed` is called from the loop, where the owner may
 * free it.
 *
 * Who opens a stream writes at once, without waiting for the 200: a refusal shows as end of
 * file. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "http/mux.h"

enum { INPUT_SIZE = 64 * 1024, READS_A_TURN = 8 };

static void on_deferred(struct source *source, void *data);

void mux_kick(struct mux *m)
{
	if (!m->deferred && loop_add_deferred(m->loop, on_deferred, m, &m->deferred) < 0)
		abort();
}

static void mux_fail(struct mux *m, int code, const char *why)
{
	if (m->dead)
		return;
	m->dead = 1;
	m->code = code < 0 ? code : -code;
	m->why = xstrdup(why);
	source_free(TAKE_PTR(m->source));
	mux_kick(m);
}

static void close_streams(struct mux *m)
{
	while (m->streams)
		mux_stream_free(m->streams);
}

/* ---- nghttp2's callbacks ---- */

/* Frames that a holm program never sends are the end: there is no version of this protocol that
 * needs them. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *data)
{
	if (hd->type == NGHTTP2_CONTINUATION || hd->type == NGHTTP2_PUSH_PROMISE)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return hd->type == NGHTTP2_HEADERS && hd->length > MUX_HEADERS_MAX ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
    const uint8_t *value, size_t value_size, uint8_t flags, void *data)
{
	int is_method = name_size == 7 && memcmp(name, ":method", 7) == 0;
	int is_connect = value_size == 7 && memcmp(value, "CONNECT", 7) == 0;
	return is_method && !is_connect ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static void accept_stream(struct mux *m, int32_t id)
{
	static const nghttp2_nv answer = { (uint8_t *)":status", (uint8_t *)"200", 7, 3, NGHTTP2_NV_FLAG_NONE };
	struct mux_stream *s = NULL;
	int fd = -1;
	if (m->stream_count >= m->streams_max || mux_stream_new(m, &s, &fd) < 0) {
		nghttp2_submit_rst_stream(m->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return;
	}
	s->id = id;
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = mux_stream_read };
	nghttp2_session_set_stream_user_data(m->session, id, s);
	nghttp2_submit_response(m->session, id, &answer, 1, &provider);
	m->accept(fd, m->data);
}

static int on_frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct mux *m = data;
	uint8_t type = frame->hd.type;
	if (type == NGHTTP2_GOAWAY)
		mux_fail(m, ECONNRESET, "the other side ended the transport");
	if (type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		accept_stream(m, frame->hd.stream_id);
	if ((type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		struct mux_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (s)
			mux_stream_end_received(s);
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size, void *data)
{
	struct mux_stream *s = nghttp2_session_get_stream_user_data(session, id);
	nghttp2_session_consume_connection(session, size);
	if (s)
		mux_stream_receive(s, (const char *)bytes, size);
	else
		nghttp2_session_consume_stream(session, id, size);
	return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
	struct mux_stream *s;
	if (frame->hd.type == NGHTTP2_DATA && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
	    (s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)))
		mux_stream_end_sent(s);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *data)
{
	struct mux_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s)
		mux_stream_closed(s);
	return 0;
}

static ssize_t data_length(nghttp2_session *session, uint8_t type, int32_t id, int32_t connection_window,
    int32_t stream_window, uint32_t frame_max, void *data)
{
	int64_t n = MIN(connection_window, stream_window);
	n = MIN(n, (int64_t)frame_max);
	return MIN(n, (int64_t)MUX_FRAME_MAX);
}

/* ---- the pipe ---- */

static int make_frames(struct mux *m)
{
	while (m->out.size < MUX_OUTPUT_MAX) {
		const uint8_t *frame;
		ssize_t n = nghttp2_session_mem_send(m->session, &frame);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return 0;
		if (buffer_append(&m->out, frame, (size_t)n) < 0)
			return NGHTTP2_ERR_NOMEM;
	}
	return 0;
}

static void mux_flush(struct mux *m)
{
	ssize_t n = 1;
	while (n > 0 && !m->dead) {
		int r = make_frames(m);
		if (r < 0)
			mux_fail(m, EPROTO, nghttp2_strerror(r));
		n = r < 0 ? 0 : buffer_send(&m->out, m->fd);
		if (n < 0)
			mux_fail(m, (int)n, strerror((int)-n));
	}
	if (m->dead)
		return;
	if (nghttp2_session_get_outbound_queue_size(m->session) > MUX_CONTROL_QUEUE_MAX)
		mux_fail(m, EPROTO, "the other side sends without reading");
	else if (!nghttp2_session_want_read(m->session) && m->out.size == 0)
		mux_fail(m, EPROTO, "the other side broke the protocol");
	else
		source_set_events(m->source, EPOLLIN | (m->out.size ? EPOLLOUT : 0));
}

static void mux_read(struct mux *m)
{
	for (int i = 0; i < READS_A_TURN && !m->dead; i++) {
		ssize_t n = read(m->fd, m->input, INPUT_SIZE);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			mux_fail(m, n < 0 ? errno : ECONNRESET, n < 0 ? strerror(errno) : "the other side is gone");
			return;
		}
		ssize_t taken = nghttp2_session_mem_recv(m->session, (const uint8_t *)m->input, (size_t)n);
		if (taken < 0)
			mux_fail(m, EPROTO, nghttp2_strerror((int)taken));
		mux_flush(m);
	}
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct mux *m = data;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		mux_read(m);
	mux_flush(m);
}

static void on_deferred(struct source *source, void *data)
{
	struct mux *m = data;
	source_free(TAKE_PTR(m->deferred));
	if (!m->dead)
		mux_flush(m);
	if (!m->dead)
		return;
	source_free(TAKE_PTR(m->deferred));
	close_streams(m);
	AUTOFREE char *why = TAKE_PTR(m->why); /* the callback may free the mux */
	if (m->closed)
		m->closed(m->code, why, m->data);
}

/* ---- the transport ---- */

static int mux_open(struct transport *t, int *ret_fd, struct error **err)
{
	struct mux *m = (struct mux *)t;
	static const nghttp2_nv request[] = {
		{ (uint8_t *)":method", (uint8_t *)"CONNECT", 7, 7, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)":authority", (uint8_t *)"holm", 10, 4, NGHTTP2_NV_FLAG_NONE },
	};
	struct mux_stream *s;
	AUTO_FD int fd = -1;
	if (m->dead)
		return error_set(err, ECONNRESET, "the connection into the machine is gone");
	if (m->role != MUX_CLIENT)
		return error_set(err, EINVAL, "this side of the transport accepts streams only");
	uint32_t theirs = nghttp2_session_get_remote_settings(m->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	size_t most = MIN((size_t)theirs, m->streams_max);
	if (m->stream_count >= most)
		return error_set(err, EBUSY,
		    "%zu streams into the machine are open already; try again when one has ended", most);
	int r = mux_stream_new(m, &s, &fd);
	if (r < 0)
		return error_set_errno(err, r, "opening a stream into the machine");
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = mux_stream_read };
	s->id = nghttp2_submit_request(m->session, NULL, request, ARRAY_SIZE(request), &provider, s);
	if (s->id < 0) {
		mux_stream_free(s);
		return error_set(err, EIO, "opening a stream into the machine failed");
	}
	mux_kick(m);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void mux_free(struct transport *t)
{
	struct mux *m = (struct mux *)t;
	source_free(m->source);
	source_free(m->deferred);
	close_streams(m);
	nghttp2_session_del(m->session);
	fd_close(m->fd);
	buffer_done(&m->out);
	free(m->input);
	free(m->why);
	free(m);
}

static int submit_settings(struct mux *m)
{
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, MUX_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)m->streams_max },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, MUX_FRAME_MAX },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MUX_HEADERS_MAX },
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	size_t count = ARRAY_SIZE(settings) - (m->role == MUX_CLIENT ? 0 : 1);
	int r = nghttp2_submit_settings(m->session, NGHTTP2_FLAG_NONE, settings, count);
	return r < 0 ? r :
		       nghttp2_session_set_local_window_size(m->session, NGHTTP2_FLAG_NONE, 0, MUX_CONNECTION_WINDOW);
}

static int new_session(struct mux *m)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, data_length);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_outbound_ack(option, 64);
	nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
	nghttp2_option_set_no_closed_streams(option, 1);
	/* Sessions that end early are resets, and a loop of short commands makes many. */
	nghttp2_option_set_stream_reset_rate_limit(option, 100000, 10000);
	int r = m->role == MUX_CLIENT ? nghttp2_session_client_new2(&m->session, callbacks, m, option) :
					nghttp2_session_server_new2(&m->session, callbacks, m, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return r;
}

int transport_mux_new(struct loop *l, int fd, enum mux_role role, transport_accept_fn accept,
    transport_closed_fn closed, void *data, struct transport **ret)
{
	static const struct transport_ops ops = { .open = mux_open, .free = mux_free };
	struct mux *m = xnew(struct mux);
	m->base.ops = &ops;
	m->loop = l;
	m->fd = fd;
	m->role = role;
	m->streams_max = role == MUX_SERVER ? MUX_STREAMS_MAX : MUX_STREAMS_MAX_INSIDE;
	m->accept = accept;
	m->closed = closed;
	m->data = data;
	m->input = xmalloc(INPUT_SIZE);
	buffer_init(&m->out, MUX_OUTPUT_MAX + MUX_FRAME_MAX + 1024);
	int r = fd_set_nonblocking(fd, 1);
	if (r >= 0 && (new_session(m) != 0 || submit_settings(m) != 0))
		r = -ENOMEM;
	if (r >= 0)
		r = loop_add_io(l, fd, EPOLLIN, on_io, m, &m->source);
	if (r < 0) {
		mux_free(&m->base);
		return r;
	}
	mux_kick(m);
	*ret = &m->base;
	return 0;
}
