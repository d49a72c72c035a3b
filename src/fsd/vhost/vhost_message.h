/* SPDX-License-Identifier: Apache-2.0
 * Messages of the vhost-user protocol (QEMU's docs/interop/vhost-user.rst) with their descriptors,
 * and the limits of each kind. The broker forwards them, the device carries them out. */
#pragma once

#include <linux/vhost_types.h>
#include <stdint.h>

#include "base/error.h"

enum {
	VHOST_QUEUES = 2, /* high priority, requests: those of the Linux driver */
	VHOST_MESSAGE_FDS = 8,
	VHOST_PAYLOAD_MAX = 272, /* bytes; the memory table is the largest payload: 8 + 8 * 32 */
	VHOST_TABLE_REGIONS = 8,
};

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_REQUESTS,
};

/* In a message's flags. */
enum { VHOST_FLAG_VERSION = 1, VHOST_FLAG_VERSION_MASK = 3, VHOST_FLAG_REPLY = 4, VHOST_FLAG_NEED_REPLY = 8 };
/* In the number of SET_VRING_KICK, _CALL and _ERR: {u64: bits 0-7 the queue, bit 8: without
 * descriptor}. */
enum { VHOST_VRING_INDEX_MASK = 0xff, VHOST_VRING_NO_FD = 0x100 };
#define VHOST_PROTOCOL_MQ (1ULL << 0)
#define VHOST_PROTOCOL_REPLY_ACK (1ULL << 3)
#define VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS (1ULL << 15)

struct vhost_user_region {
	uint64_t guest, size, user, offset;
};
struct vhost_user_table {
	uint32_t count, padding;
	struct vhost_user_region regions[VHOST_TABLE_REGIONS];
};
struct vhost_user_slot {
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_message {
	uint32_t request, flags, size; /* the header as on the socket; size: bytes of the payload */
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr address;
		struct vhost_user_table table;
		struct vhost_user_slot slot;
		unsigned char bytes[VHOST_PAYLOAD_MAX];
	} payload;
};
#define VHOST_HEADER_SIZE (3 * sizeof(uint32_t))

/* Receives one message with its descriptors, which the caller owns. 1, 0 at the end of the
 * connection, -errno. */
int vhost_message_receive(int socket, struct vhost_message *m, int fds[VHOST_MESSAGE_FDS], unsigned *ret_count);
/* Sends one message with descriptors (borrowed). 0 or -errno. */
int vhost_message_send(int socket, const struct vhost_message *m, const int *fds, unsigned count);
/* Checks that the request is known, and that its size and its number of descriptors are within the
 * limits of its kind. 0 or -EPROTO. */
int vhost_message_check(const struct vhost_message *m, unsigned fd_count, struct error **err);
