/* SPDX-License-Identifier: Apache-2.0
 * Datagrams over a stream: each has its length in front, two bytes, big-endian. */
#pragma once

#include <sys/socket.h>

#include "base/buffer.h"
#include "base/loop.h"

enum { UDP_DATAGRAM_MAX = 65535, UDP_IDLE_MS = 180 * 1000, UDP_TARGETS_MAX = 3 };

/* The addresses at which the service may listen, the likeliest first. */
struct udp_targets {
	struct {
		struct sockaddr_storage address;
		socklen_t size;
	} items[UDP_TARGETS_MAX];
	size_t count;
};

/* Takes the stream; early: bytes of it that were read already. Ends with the stream, or when idle
 * for long. */
void udp_relay_start(struct loop *l, int stream, const struct udp_targets *targets, const struct buffer *early);
/* Looks at the front of b: 1 and the datagram inside b (consume 2 + *ret_size after), 0 when more
 * is needed. */
int udp_relay_next(const struct buffer *b, const char **ret, size_t *ret_size);
