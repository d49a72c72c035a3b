/* SPDX-License-Identifier: Apache-2.0
 * Messages: a table limits the payload's size and the number of descriptors of each kind. */
#include "fsd/vhost/vhost_message.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"

_Static_assert(sizeof(struct vhost_user_table) <= VHOST_PAYLOAD_MAX, "the memory table fits into a message");
_Static_assert(sizeof(struct vhost_vring_addr) == 40 && sizeof(struct vhost_vring_state) == 8,
    "layout of vhost-user's payloads");

static const struct message_kind {
	const char *name;
	uint16_t min_size, max_size;
	uint8_t max_fds;
} kinds[VHOST_REQUESTS] = {
	[VHOST_GET_FEATURES] = { "GET_FEATURES", 0, 0, 0 },
	[VHOST_SET_FEATURES] = { "SET_FEATURES", 8, 8, 0 },
	[VHOST_SET_OWNER] = { "SET_OWNER", 0, 0, 0 },
	[VHOST_RESET_OWNER] = { "RESET_OWNER", 0, 0, 0 },
	[VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", 8, sizeof(struct vhost_user_table), VHOST_TABLE_REGIONS },
	[VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", 8, 8, 0 },
	[VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR", 40, 40, 0 },
	[VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", 8, 8, 0 },
	[VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", 8, 8, 0 },
	[VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", 8, 8, 1 },
	[VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", 8, 8, 1 },
	[VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", 8, 8, 1 },
	[VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0, 0 },
	[VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", 8, 8, 0 },
	[VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", 0, 0, 0 },
	[VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", 8, 8, 0 },
	[VHOST_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", 0, 0, 0 },
	[VHOST_ADD_MEM_REG] = { "ADD_MEM_REG", sizeof(struct vhost_user_slot), sizeof(struct vhost_user_slot), 1 },
	[VHOST_REM_MEM_REG] = { "REM_MEM_REG", sizeof(struct vhost_user_slot), sizeof(struct vhost_user_slot), 1 },
};

int vhost_message_check(const struct vhost_message *m, unsigned fd_count, struct error **err)
{
	if ((m->flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION || (m->flags & VHOST_FLAG_REPLY))
		return error_set(err, EPROTO, "vhost-user: a message of another protocol version");
	const struct message_kind *k = m->request < VHOST_REQUESTS ? &kinds[m->request] : NULL;
	if (!k || !k->name)
		return error_set(err, EPROTO, "vhost-user: unknown message %u", m->request);
	if (m->size < k->min_size || m->size > k->max_size || fd_count > k->max_fds)
		return error_set(err, EPROTO, "vhost-user: %s with %u bytes and %u descriptors", k->name, m->size,
		    fd_count);
	return 0;
}

/* Reads the header with its descriptors. 1, 0 at the end, -errno. */
static int receive_header(int socket, struct vhost_message *m, int *fds, unsigned *ret_count)
{
	struct fd_pass p;
	ssize_t n = fd_receive_bytes(socket, m, VHOST_HEADER_SIZE, VHOST_MESSAGE_FDS, &p, MSG_WAITALL);
	memcpy(fds, p.fds, p.count * sizeof(int));
	*ret_count = (unsigned)p.count;
	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
	return n == (ssize_t)VHOST_HEADER_SIZE && !p.truncated ? 1 : -EPROTO;
}

int vhost_message_receive(int socket, struct vhost_message *m, int fds[VHOST_MESSAGE_FDS], unsigned *ret_count)
{
	*m = (struct vhost_message){ 0 };
	int r = receive_header(socket, m, fds, ret_count);
	if (r == 1 &&
	    (m->size > VHOST_PAYLOAD_MAX || fd_read_full(socket, m->payload.bytes, m->size) != (ssize_t)m->size))
		r = -EPROTO;
	if (r <= 0) {
		for (unsigned i = 0; i < *ret_count; i++)
			fd_close(fds[i]);
		*ret_count = 0;
	}
	return r;
}

int vhost_message_send(int socket, const struct vhost_message *m, const int *fds, unsigned count)
{
	/* In one piece, without the padding between header and payload. */
	char bytes[VHOST_HEADER_SIZE + VHOST_PAYLOAD_MAX];
	memcpy(bytes, m, VHOST_HEADER_SIZE);
	memcpy(bytes + VHOST_HEADER_SIZE, m->payload.bytes, m->size);
	size_t size = VHOST_HEADER_SIZE + m->size;
	ssize_t n = fd_send_bytes(socket, bytes, size, fds, count, 0);
	if (n < 0)
		return (int)n;
	return fd_write_full(socket, bytes + n, size - (size_t)n);
}
