/* SPDX-License-Identifier: Apache-2.0
 * See message.h. */
#include "image/builder/message.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

struct head {
	uint32_t kind, size;
};

void message_send(int fd, enum message_kind kind, const void *data, size_t size)
{
	const struct head head = { kind, (uint32_t)size };
	if (size <= MESSAGE_MAX && fd_write_full(fd, &head, sizeof head) == 0)
		(void)fd_write_full(fd, data, size);
}

int message_peek(const struct buffer *b, struct message *ret)
{
	struct head head;
	if (b->size < sizeof head)
		return 0;
	memcpy(&head, b->data, sizeof head);
	if (head.kind > MESSAGE_ERROR || head.size > MESSAGE_MAX)
		return -EPROTO;
	if (b->size - sizeof head < head.size)
		return 0;
	*ret = (struct message){ head.kind, b->data + sizeof head, head.size };
	return 1;
}

void message_drop(struct buffer *b, const struct message *m)
{
	buffer_consume(b, sizeof(struct head) + m->size);
}
