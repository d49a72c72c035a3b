/* SPDX-License-Identifier: Apache-2.0
 * Session frames: see session_frame.h. One table says which types there are and how long each may
 * be. */
#include "http/session_frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct frame_rule {
	uint32_t min, max; /* payload bytes */
	int known;
};

static const struct frame_rule rules[] = {
	[SESSION_STDIN] = { 0, SESSION_FRAME_MAX, 1 },
	[SESSION_STDOUT] = { 0, SESSION_FRAME_MAX, 1 },
	[SESSION_STDERR] = { 0, SESSION_FRAME_MAX, 1 },
	[SESSION_RESIZE] = { 4, 4, 1 },
	[SESSION_SIGNAL] = { 1, 1, 1 },
	[SESSION_STDIN_END] = { 0, 0, 1 },
	[SESSION_EXIT] = { 4, 4, 1 },
	[SESSION_ERROR] = { 4, SESSION_FRAME_MAX, 1 },
	[SESSION_NOTE] = { 0, SESSION_FRAME_MAX, 1 },
	[SESSION_WINDOW] = { 4, 4, 1 },
};

static const struct frame_rule *rule_of(uint8_t type)
{
	return type < ARRAY_SIZE(rules) && rules[type].known ? &rules[type] : NULL;
}

int session_frame_next(const struct buffer *b, struct session_frame *ret)
{
	if (b->size < SESSION_HEADER_SIZE)
		return 0;
	uint8_t header[SESSION_HEADER_SIZE];
	memcpy(header, b->data, sizeof header);
	const struct frame_rule *rule = rule_of(header[0]);
	uint32_t size;
	memcpy(&size, header + 4, sizeof size);
	size = be32toh(size);
	if (!rule || header[1] || header[2] || header[3] || size < rule->min || size > rule->max)
		return -EBADMSG;
	if (b->size - SESSION_HEADER_SIZE < size)
		return 0;
	*ret = (struct session_frame){ .type = header[0], .data = b->data + SESSION_HEADER_SIZE, .size = size };
	return 1;
}

int session_frame_append(struct buffer *b, enum session_frame_type type, const void *data, size_t size)
{
	if (size > SESSION_FRAME_MAX)
		return -EINVAL;
	char *to = buffer_reserve(b, SESSION_HEADER_SIZE + size);
	if (!to)
		return -ENOBUFS;
	uint32_t big = htobe32((uint32_t)size);
	memset(to, 0, SESSION_HEADER_SIZE);
	to[0] = (char)type;
	memcpy(to + 4, &big, sizeof big);
	if (size)
		memcpy(to + SESSION_HEADER_SIZE, data, size);
	buffer_commit(b, SESSION_HEADER_SIZE + size);
	return 0;
}

int session_frame_append_u32(struct buffer *b, enum session_frame_type type, uint32_t value)
{
	uint32_t big = htobe32(value);
	return session_frame_append(b, type, &big, sizeof big);
}
