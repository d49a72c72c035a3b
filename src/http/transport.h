/* SPDX-License-Identifier: Apache-2.0
 * A transport opens byte streams between keeper and agent, and nothing more. A stream is a
 * non-blocking stream socket descriptor, close-on-exec; shutdown(SHUT_WR) is its half-close;
 * everything above speaks HTTP/1.1 on it.
 *
 *   fds     each stream is one end of a socket pair, passed over a socket that both sides hold
 *           (native isolation; transport_fds.c)
 *   unix    connects to a socket path
 *   serial  HTTP/2 CONNECT streams (nghttp2) over one byte pipe, here a virtio-serial port; each
 *           stream ends in a socketpair (mux.c)
 *   vsock   AF_VSOCK, with a secret in the first line (by setting only)
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"

struct transport;
typedef void (*transport_accept_fn)(int fd, void *data); /* takes fd; must not free the transport */
/* once: the transport is dead (code negative); free it */
typedef void (*transport_closed_fn)(int code, const char *why, void *data);

/* Opens a stream to the other side: *ret_fd owned by the caller. It can be written at once; a
 * refusal shows as end of file. */
int transport_open(struct transport *t, int *ret_fd, struct error **err);
void transport_free(struct transport *t);
DEFINE_CLEANUP(struct transport, transport_free)

/* Makes an existing connection (fd, taken when it succeeds), of which `size` bytes were read
 * already, a stream to the other side: from then on it serves whoever is at the connection's far
 * end without us. -EOPNOTSUPP where descriptors cannot cross or the bytes are too many (nothing has
 * happened then: open a stream and relay). */
int transport_give(struct transport *t, int fd, const void *data, size_t size, struct error **err);
/* Whether transport_give() of so many bytes is possible at all: for who has to decide before the
 * connection is taken apart. */
int transport_can_give(const struct transport *t, size_t size);

int transport_unix_new(const char *path, struct transport **ret);

/* Streams passed as descriptors over `socket` (SOCK_SEQPACKET, taken), in both directions. Messages
 * of other kinds travel on it too, in order with the streams: a text of one line and at most one
 * descriptor. Nothing blocks; what the other side does not take waits, within bounds. */
enum {
	TRANSPORT_MESSAGE_MAX = 64 * 1024,
	TRANSPORT_GIVEN_MAX = 32 * 1024 /* bytes that http_server_serve_given() takes */
};
struct transport_fds_events {
	transport_accept_fn accept;
	/* A stream of which the other side has read some bytes already (borrowed); takes fd. */
	void (*given)(int fd, const void *bytes, size_t size, void *data);
	void (*message)(const char *text, int fd, void *data); /* text borrowed, NUL-terminated; takes fd, -1: none */
	transport_closed_fn closed;
};
int transport_fds_new(struct loop *l, int socket, const struct transport_fds_events *events, void *data,
    struct transport **ret);
/* Sends a message; fd is borrowed, -1: none. -EMSGSIZE; -ENOBUFS when too many wait. */
int transport_fds_send(struct transport *base, const char *text, int fd);

/* MUX_SERVER_INSIDE: the agent's, which trusts the keeper with more streams. */
enum mux_role { MUX_CLIENT, MUX_SERVER, MUX_SERVER_INSIDE };
/* HTTP/2 with prior knowledge (RFC 9113 3.3) over fd (taken). The client opens streams, the server
 * accepts them. At most 256 streams at a time, 2048 into the machine, 256 KiB of data in flight a
 * stream, a HEADERS frame of at most 4 KiB; anything else from the other side is a connection
 * error. A peer that keeps no protocol ends the mux (closed callback), never blocks it. accept may
 * be NULL for a client. */
int transport_mux_new(struct loop *l, int fd, enum mux_role role, transport_accept_fn accept,
    transport_closed_fn closed, void *data, struct transport **ret);
