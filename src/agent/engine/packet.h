/* SPDX-License-Identifier: Apache-2.0
 * Packets between the engine and its monitor (monitor.h): a JSON object, and descriptors. */
#pragma once

#include "base/fd.h"
#include "base/json.h"

struct packet {
	struct json_object *object;
	struct fd_pass passed;
	size_t taken; /* of passed */
};

/* Appends those of count descriptors that are there (not -1) to `out`. Returns their bits. */
unsigned packet_pack(const int *fds, size_t count, struct fd_pass *out);
/* Takes as many descriptors as there are bits, in ascending order; the others become -1. 0, or
 * -EPROTO where the packet has fewer. */
int packet_unpack(struct packet *p, uint64_t bits, int *fds, size_t count);
/* o: taken. The descriptors are borrowed. 0 or -errno. */
int packet_send(int socket, struct json_object *o, const struct fd_pass *fds, int flags);
/* 1; 0 at the end; -EAGAIN; -errno. */
int packet_receive(int socket, struct packet *ret);
void packet_done(struct packet *p); /* closes what was not taken */
#define AUTO_PACKET CLEANUP(packet_done)
