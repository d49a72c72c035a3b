/* SPDX-License-Identifier: Apache-2.0
 * Messages of the vhost-user protocol, one after the other, with descriptors; a queue that starts is used. */
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "fsd/vhost_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_fd(unsigned kind)
{
	if (kind)
		return eventfd(0, EFD_CLOEXEC);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 1 << 16) < 0)
		return -1;
	return fd;
}

static void changed(struct vhost_device *d, unsigned index, void *unused)
{
	static struct chain chain;
	struct vhost_queue *q = &d->queues[index];
	for (int n = 0; q->started && n < 4 && virtqueue_pop(&q->ring, &d->memory, &chain) == 1; n++)
		virtqueue_push(&q->ring, chain.head, 0);
}

/* Input: messages of {request, flags, descriptors, size, payload}. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_device d;
	vhost_device_init(&d);
	d.queue_changed = changed;
	while (size >= 4) {
		struct vhost_message m = {.request = data[0], .flags = data[1], .size = data[3]};
		int fds[VHOST_MESSAGE_FDS];
		unsigned count = MIN((unsigned)data[2] & 15, (unsigned)VHOST_MESSAGE_FDS), opened = 0;
		for (; opened < count && (fds[opened] = make_fd(data[2] & 16)) >= 0; opened++)
			;
		size_t payload = MIN(size - 4, (size_t)data[3]);
		memcpy(m.payload.bytes, data + 4, payload);
		if (vhost_device_handle(&d, &m, fds, opened, NULL) < 0)
			break;
		data += 4 + payload;
		size -= 4 + payload;
	}
	vhost_device_done(&d);
	return 0;
}
