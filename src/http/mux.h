/* SPDX-License-Identifier: Apache-2.0
 * Private to the multiplexed transport: the session over one pipe (mux.c) and its streams
 * (mux_stream.c). */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "http/transport_table.h"

enum {
	MUX_STREAMS_MAX = 256,                    /* that a server accepts */
	MUX_STREAMS_MAX_INSIDE = 2048,            /* that the agent accepts: a published UDP port has one a client */
	MUX_STREAM_WINDOW = 256 * 1024,           /* bytes in flight a stream: what a stalled reader can make us hold */
	MUX_CONNECTION_WINDOW = 16 * 1024 * 1024, /* given back at once, so it never is what a stream waits for */
	MUX_FRAME_MAX = 64 * 1024,
	MUX_HEADERS_MAX = 4096,
	MUX_OUTPUT_MAX = 256 * 1024,  /* frames that are made before the pipe takes them */
	MUX_CONTROL_QUEUE_MAX = 4096, /* frames that a peer who does not read can make us queue */
};

struct mux;

struct mux_stream {
	struct mux *mux;
	struct mux_stream *next, **link;
	int32_t id;
	int fd;                /* our end of the socketpair */
	struct source *source; /* NULL after the application hung up */
	struct buffer pending; /* received, not taken by the application yet: at most one window */
	int want_read;         /* the frame maker waits for the application to write */
	int hung_up;           /* the application closed its end */
	int end_sent, end_received;
	int shut;   /* end of file was passed on to the application */
	int closed; /* nghttp2 has forgotten the stream; pending still goes out */
};

struct mux {
	struct transport base;
	struct loop *loop;
	int fd;
	struct source *source, *deferred;
	enum mux_role role;
	nghttp2_session *session;
	struct buffer out;
	char *input;
	struct mux_stream *streams;
	size_t stream_count, streams_max;
	transport_accept_fn accept;
	transport_closed_fn closed;
	void *data;
	int dead;
	char *why;
	int code;
};

/* The pipe wants looking at (new frames to send), at the end of this turn. */
void mux_kick(struct mux *m);
/* Makes a stream with its socketpair; *ret_fd is the application's end. */
int mux_stream_new(struct mux *m, struct mux_stream **ret, int *ret_fd);
void mux_stream_free(struct mux_stream *s);
/* Bytes came from the other side. */
void mux_stream_receive(struct mux_stream *s, const char *data, size_t size);
/* The other side ended its half; the end of ours is on the wire; the stream is over. */
void mux_stream_end_received(struct mux_stream *s);
void mux_stream_end_sent(struct mux_stream *s);
void mux_stream_closed(struct mux_stream *s);
/* nghttp2's source of DATA: reads from the application straight into the frame. */
ssize_t mux_stream_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
    nghttp2_data_source *source, void *data);
