/* SPDX-License-Identifier: Apache-2.0
 * The protocol between the server of a VM's share (holm-fsd) and the agent inside, which makes a
 * change on the host raise inotify inside. The agent sends the watched inodes, the server sends
 * their changes, and the agent makes the same change inside; the server answers that operation
 * without touching the host. The keeper relays payloads without reading them
 * (docs/share-events.md).
 *
 * A payload is one of these structures, little-endian, with unused bytes zero. On the server's
 * socket (SOCK_SEQPACKET) a packet is one payload. On the agent's stream a payload follows its
 * size, a uint32_t. Each side treats the other as an attacker. */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
	SHARE_EVENTS_VERSION = 1,
	SHARE_PAYLOAD_MAX = 4096, /* bytes; a size of 0 or above this ends the connection */
	SHARE_NAME_MAX = 255,     /* bytes of a name in an event, without a NUL */
	SHARE_WATCHES_MAX = 8192, /* inodes of a share; more are not watched */
};

enum share_payload {
	/* agent to server */
	SHARE_HELLO = 1, /* first of a connection: forgets what was there before */
	SHARE_WATCH = 2,
	SHARE_UNWATCH = 3,
	SHARE_DONE = 4,
	/* server to agent */
	SHARE_EVENT = 16,
	SHARE_RESET = 17, /* the server knows nothing: HELLO and the watches again */
};

enum share_operation {
	SHARE_CREATE = 1, /* mode: S_IFMT and permissions of what is new */
	SHARE_REMOVE = 2, /* mode: a directory, or not */
	SHARE_RENAME = 3, /* node, name to node2, name2 */
	SHARE_MODIFY = 4,
	SHARE_ATTRIB = 5,
	SHARE_CLOSE_WRITE = 6,
};

struct share_hello {
	uint8_t type, version;
	uint16_t zero;
	/* Of the replayer, as the guest's FUSE requests carry it; 0: nobody replays (the keeper
	 * says so when the agent's stream ends). */
	uint32_t pid;
};

/* WATCH and UNWATCH (mask 0). */
struct share_watch {
	uint8_t type, zero;
	uint16_t zero2;
	uint32_t mask; /* of inotify(7), IN_ALL_EVENTS */
	uint64_t node; /* FUSE node id */
};

struct share_done {
	uint8_t type, zero;
	uint16_t zero2;
	int32_t result; /* 0 or -errno */
	uint64_t token; /* of the event */
};

struct share_event {
	uint8_t type, operation;
	uint16_t zero;
	uint32_t mode;
	uint64_t token;
	uint64_t node, node2; /* directories */
	uint16_t size, size2; /* of the names, which follow in this order; size2 is 0 except for RENAME */
	uint32_t zero2;
};

struct share_reset {
	uint8_t type, zero[7];
};

static_assert(sizeof(struct share_hello) == 8 && sizeof(struct share_watch) == 16 && sizeof(struct share_done) == 16 &&
		  sizeof(struct share_event) == 40 && sizeof(struct share_reset) == 8,
    "the layout on the wire");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures go as they are");

/* The first payload in what came on a stream: its size, and where it is (borrowed until the buffer
 * changes; share_frame_drop() consumes it); 0: not all of it is there yet; -EBADMSG for a size that
 * is not allowed. */
ssize_t share_frame_next(const struct buffer *b, const void **ret);
void share_frame_drop(struct buffer *b, size_t size);
/* Adds a payload with its size in front: 0, or -ENOBUFS. */
int share_frame_append(struct buffer *b, const void *payload, size_t size);
