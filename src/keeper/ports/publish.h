/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: ports of the machine that are reachable on the host. */
#pragma once

#include <sys/socket.h>

#include "http/http.h"
#include "keeper/keeper.h"

enum { PUBLISH_IDLE_S = 60, PUBLISH_INTERVAL_S = 15 }; /* of SO_KEEPALIVE */

/* The sockets of all published ports. */
struct publisher {
	struct keeper *keeper;
	struct published *ports;         /* one a socket */
	struct auto_ports *automatic;    /* NULL: none opens by itself */
	size_t count, container_sockets; /* of the machine; of containers */
	/* TCP */
	struct connection *spliced;          /* a list */
	size_t connections, connections_max; /* that have sockets of ours: being dialled, or spliced */
	int is_full;                         /* some ports do not accept until a connection ends */
	struct source *retry;                /* they accept then */
	struct source *young;                /* options for those that are not over by then */
	int has_young;
	struct udp_flows *flows; /* of all UDP ports; NULL before the first */
};

/* Makes k->publisher and binds all ports of the machine: 0, or -EADDRINUSE and an error that names
 * the port; the caller frees k->publisher in both cases. Nothing is accepted before
 * publisher_open(). */
int publisher_new(struct keeper *k, struct error **err);
void publisher_open(struct publisher *p); /* the machine is ready; again is fine; NULL is fine */
void publisher_free(struct publisher *p);
/* Sockets in the machine's network have come; NULL is fine. */
void publisher_sockets(struct publisher *p);
struct json_object *publisher_describe(
    const struct publisher *p); /* the sockets, as GET /v1/state has them; owned; NULL is fine */

/* One socket of a published port, private to this folder. */
struct published {
	struct published *next;
	struct keeper *keeper;
	int fd; /* listening (TCP) or bound (UDP) */
	struct source *source;
	struct machine_publish spec;
	char *address;
	char *container, *target;    /* owner and its address inside; NULL: the machine */
	int automatic;               /* of automatic.c */
	struct connection *dialling; /* TCP: a list */
	size_t streams;              /* TCP: those of them that dial by a stream */
	int accepts;                 /* TCP: the loop looks for clients */
};
/* Adds a socket to the list: takes fd, copies spec and ip. container: whose it is, or NULL. */
struct published *publish_add_socket(struct publisher *p, const struct machine_publish *spec, const char *ip, int fd,
    const char *container);
/* Adds one of automatic.c, at the address of spec. */
struct published *publish_add_automatic(struct publisher *p, const struct machine_publish *spec, int fd);
/* Begins to accept, unless it does already. */
void publish_accept(struct published *port);
/* Takes the port at this link off the list, and ends its dials and flows. */
void publish_free(struct published **at);

/* inside.c */
/* An address at which the service may listen. */
struct inside_address {
	struct sockaddr_storage address;
	socklen_t size;
	enum isolation_socket kind;
};
/* The n-th of them: 1, or 0 if there are no more. */
int publish_inside_address(const struct published *p, unsigned n, struct inside_address *ret);
/* A stream to POST /v1/dial; `done` and `upgraded` as http_call(). */
int publish_dial(struct published *p, void (*upgraded)(int fd, struct buffer *early, void *data),
    void (*done)(int code, struct json_object *body, const struct error *err, void *data), void *data,
    struct http_call **ret);

/* publish_tcp.c */
void publish_tcp_readable(struct published *p);
void publish_tcp_sockets(struct published *p);
/* Starts or stops looking for clients, as there is room for them. */
void publish_tcp_update(struct published *p);
void publish_tcp_free(struct published *p);         /* ends the port's dials */
void publish_tcp_free_spliced(struct publisher *p); /* ends all that is spliced */

/* publish_udp.c */
void publish_udp_readable(struct published *p);
void publish_udp_sockets(struct publisher *p);
void publish_udp_free(struct published *p); /* ends the port's flows */
void publish_udp_end(struct publisher *p);  /* once there are no ports any more */
