/* SPDX-License-Identifier: Apache-2.0
 * Private to the server: a connection with its one exchange. */
#pragma once

#include "http/internal.h"

enum connection_state {
	CONNECTION_HEAD,     /* waiting for (the rest of) a head */
	CONNECTION_BODY,     /* waiting for the rest of a body */
	CONNECTION_HANDLING, /* a handler has the exchange */
	CONNECTION_STREAM,   /* JSON lines are being sent */
	CONNECTION_FLUSH,    /* answered; the rest of the answer goes out */
	CONNECTION_DEAD,     /* gone or taken over; freed at the end of this turn */
};

struct http_exchange {
	struct http_server *server;
	struct http_exchange *next, **link; /* the server's list of connections */
	int fd;
	enum connection_state state;
	struct source *io, *timer, *deferred;
	struct buffer in, out, body;
	struct http_head head;
	size_t head_size; /* bytes of the raw head, kept in raw */
	char *raw;        /* the raw head, for http_exchange_take() */
	char *path;
	struct http_chunks chunks;
	uint64_t body_left;
	struct json_object *json;
	void (*closed)(void *data);
	void *closed_data;
	int head_begun;  /* its time runs */
	int close_after; /* no further request after this answer */
};

struct http_server {
	struct loop *loop;
	const struct http_route *routes;
	void *data;
	const char *headers, *error_member;
	struct listener *listeners;
	struct http_exchange *connections;
	size_t connection_count;
	size_t bodies;   /* bytes held in bodies of all connections */
	int one_request; /* a connection ends with its first answer */
	uint64_t head_ms;
	int continues; /* clients that wait for 100 get it */
};

/* Something changed: write, go on to the next request, or free, at the end of this turn of the
 * loop. */
void connection_kick(struct http_exchange *x);
/* The connection is lost: its closed callback will run. */
void connection_drop(struct http_exchange *x);
