/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: ports of the machine that are reachable on the host. */
#pragma once

#include "http/http.h"
#include "keeper/keeper.h"

/* The sockets of all published ports. */
struct publisher {
	struct keeper *keeper;
	struct published *ports;         /* one a socket */
	size_t count, container_sockets; /* of the machine; of containers */
};

/* Makes k->publisher and binds all ports of the machine: 0, or -EADDRINUSE and an error that names
 * the port; the caller frees k->publisher in both cases. Nothing is accepted before
 * publisher_open(). */
int publisher_new(struct keeper *k, struct error **err);
void publisher_open(struct publisher *p); /* the machine is ready; again is fine; NULL is fine */
void publisher_free(struct publisher *p);
struct json_object *publisher_describe(
    const struct publisher *p); /* the sockets, as GET /v1/state has them; owned; NULL is fine */

/* One socket of a published port, private to publish*.c. */
struct published {
	struct published *next;
	struct keeper *keeper;
	int fd; /* listening (TCP) or bound (UDP) */
	struct source *source;
	struct machine_publish spec;
	char *address;
	char *container, *target; /* owner and its address inside; NULL: the machine */
	struct dial *dials;       /* TCP */
	size_t connections;       /* TCP: being dialled */
};
/* A stream to POST /v1/dial; `done` and `upgraded` as http_call(). */
int publish_dial(struct published *p, void (*upgraded)(int fd, struct buffer *early, void *data),
    void (*done)(int code, struct json_object *body, const struct error *err, void *data), void *data,
    struct http_call **ret);
/* Adds a socket to the list: takes fd, copies spec and ip. container: whose it is, or NULL. */
struct published *publish_add_socket(struct publisher *p, const struct machine_publish *spec, const char *ip, int fd,
    const char *container);
/* Begins to accept, unless it does already. */
void publish_accept(struct published *port);
/* Takes the port at this link off the list, and ends its dials and flows. */
void publish_free(struct published **at);
void publish_udp_readable(struct published *p);
void publish_udp_free(struct published *p); /* ends the port's flows */
