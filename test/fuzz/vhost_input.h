/* SPDX-License-Identifier: Apache-2.0
 * An input as messages of the vhost-user protocol with descriptors: {request, flags, descriptors,
 * size, payload}. Bit 4 of descriptors says of what kind they are, the bits below how many. */
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "fsd/vhost/vhost_message.h"

struct vhost_input {
	const uint8_t *data;
	size_t size;
};

static inline int input_fd(unsigned kind)
{
	if (kind)
		return eventfd(0, EFD_CLOEXEC);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 1 << 16) < 0)
		return -1;
	return fd;
}

/* Takes the next message off the input: 1, with descriptors that are the caller's; 0 at its end. */
static inline int input_next(struct vhost_input *in, struct vhost_message *ret, int fds[VHOST_MESSAGE_FDS],
    unsigned *ret_count)
{
	const uint8_t *h = in->data;
	if (in->size < 4)
		return 0;
	unsigned count = MIN((unsigned)h[2] & 15, (unsigned)VHOST_MESSAGE_FDS), opened = 0;
	for (; opened < count && (fds[opened] = input_fd(h[2] & 16)) >= 0; opened++)
		;
	size_t payload = MIN(in->size - 4, (size_t)h[3]);
	*ret = (struct vhost_message){ .request = h[0], .flags = h[1], .size = h[3] };
	memcpy(ret->payload.bytes, h + 4, payload);
	*ret_count = opened;
	in->data += 4 + payload;
	in->size -= 4 + payload;
	return 1;
}
