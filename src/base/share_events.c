/* SPDX-License-Identifier: Apache-2.0 */
#include "base/share_events.h"

#include <errno.h>

enum { SIZE_BYTES = sizeof(uint32_t) };

ssize_t share_frame_next(const struct buffer *b, const void **ret)
{
	uint32_t size;
	if (b->size < SIZE_BYTES)
		return 0;
	memcpy(&size, b->data, SIZE_BYTES);
	if (size == 0 || size > SHARE_PAYLOAD_MAX)
		return -EBADMSG;
	if (b->size - SIZE_BYTES < size)
		return 0;
	*ret = b->data + SIZE_BYTES;
	return size;
}

void share_frame_drop(struct buffer *b, size_t size)
{
	buffer_consume(b, SIZE_BYTES + size);
}

int share_frame_append(struct buffer *b, const void *payload, size_t size)
{
	uint32_t prefix = (uint32_t)size;
	uint8_t *to = buffer_reserve(b, SIZE_BYTES + size);
	if (!to)
		return -ENOBUFS;
	memcpy(to, &prefix, SIZE_BYTES);
	memcpy(to + SIZE_BYTES, payload, size);
	buffer_commit(b, SIZE_BYTES + size);
	return 0;
}
