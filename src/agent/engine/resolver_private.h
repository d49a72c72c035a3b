/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the resolver. */
#pragma once

#include <netinet/in.h>

#include "agent/engine/resolver.h"
#include "docker/dns.h"

struct forward;
struct stream;

struct resolver {
	struct container *container;
	struct resolver_sockets sockets;
	struct source *udp, *tcp;
	struct forward *forwards; /* queries at a name server */
	size_t forward_count;
	struct stream *streams; /* connections */
	size_t stream_count;
};

/* Answers for containers' names, into `out` of at least `max` bytes beyond the query's size: the
 * size; 0 if a name server is to be asked; -EBADMSG where nothing is answered. */
ssize_t resolver_answer(const struct resolver *r, const void *data, size_t size, struct dns_query *q, uint8_t *out,
    size_t max);
void resolver_servers(const struct resolver *r, struct strv *ret);
void resolver_send(const struct resolver *r, const struct sockaddr_in *to, const void *data, size_t size);

/* resolver_forward.c: asks the name servers, one after the other, by UDP for `to`, or by TCP for
 * `stream`. The answer comes by resolver_send() or stream_answer(), later. 0 or -errno. */
int resolver_forward(struct resolver *r, const void *query, size_t size, const struct sockaddr_in *to,
    struct stream *stream);
void resolver_end_forwards(struct resolver *r);
void resolver_forget_stream(struct resolver *r, const struct stream *s); /* its query is given up */

/* resolver_stream.c */
void resolver_accept(struct source *s, int fd, uint32_t events, void *resolver);
void resolver_end_streams(struct resolver *r);
void stream_answer(struct stream *s, const void *data, size_t size);
