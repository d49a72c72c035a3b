/* SPDX-License-Identifier: Apache-2.0
 * Moves bytes both ways between two TCP sockets without copying them. */
#pragma once

#include <sys/socket.h>

#include "base/loop.h"

struct splice;
struct splice_events {
	/* No more data: the other end did not take the connection (errno). The owner gives another
	 * socket, now or later, or frees. */
	void (*refused)(int code, void *data);
	void (*connected)(void *data);
	/* Both directions have ended, or the client went away before there was a connection. The
	 * owner frees, then or later. */
	void (*ended)(void *data);
};

/* Takes the client's socket, also when it fails. Both sockets are non-blocking, and nobody else
 * may have a descriptor of them: who has one can make them blocking. Resets, half-closes and
 * backpressure pass from each side to the other. A connection takes a pipe a direction while bytes
 * wait in it. The process ignores SIGPIPE. */
int splice_new(struct loop *l, int client, const struct splice_events *events, void *data, struct splice **ret);
/* Takes a socket and connects it, in place of one that was refused. 0 or -errno. */
int splice_connect(struct splice *s, int fd, const struct sockaddr *to, socklen_t size);
int splice_inside(const struct splice *s); /* that socket, borrowed; -1: none */
/* Before both directions have ended: resets the client's connection. */
void splice_free(struct splice *s);
