/* SPDX-License-Identifier: Apache-2.0
 * The body of a request and of an answer, for a process that has taken the connection over and
 * speaks the rest of HTTP on it, blocking. */
#pragma once

#include "base/error.h"
#include "http/http.h"

/* An answer of unknown size, in chunks. */
struct body_out {
	int stream, begun; /* begun: the head is out */
	const char *head;  /* with "Transfer-Encoding: chunked" and its empty line; borrowed */
	struct buffer chunk;
};
/* Makes the stream block, with a limit for a peer that does not read or write. */
void body_out_init(struct body_out *o, int stream, const char *head);
int body_out_add(void *data, const void *bytes, size_t size); /* a tar_sink: 0 or -errno */
/* Writes what is left and the last chunk. An answer that ends without it is broken. 0 or -errno. */
int body_out_end(struct body_out *o);
void body_out_done(struct body_out *o);

struct body_in {
	int stream;
	struct buffer in;
	size_t used; /* of the buffer's front, by the last piece given out */
	int chunked, ended;
	uint64_t left;
	struct http_chunks chunks;
};
/* raw: the request's head and what came with it. Zeroed to begin. 0 or -errno. */
int body_in_begin(struct body_in *b, int stream, const struct buffer *raw, struct error **err);
ssize_t body_in_read(void *data, const void **ret, struct error **err); /* a tar_source */
/* Reads what a peer still sends, so that it does not lose the answer to a reset. */
void body_in_drain(struct body_in *b, int stream);
void body_in_done(struct body_in *b);
