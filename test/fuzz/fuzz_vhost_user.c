/* SPDX-License-Identifier: Apache-2.0
 * Messages of the vhost-user protocol, one after the other, with descriptors; a queue that starts
 * is used. */
#include "fsd/vhost/vhost_user.h"
#include "vhost_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void changed(struct vhost_device *d, unsigned index, void *unused)
{
	static struct chain chain;
	struct vhost_queue *q = &d->queues[index];
	for (int n = 0; q->started && n < 4 && virtqueue_pop(&q->ring, &d->memory, &chain) == 1; n++)
		virtqueue_push(&q->ring, chain.head, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_input in = { data, size };
	struct vhost_message m;
	int fds[VHOST_MESSAGE_FDS];
	unsigned count;
	struct vhost_device d;
	vhost_device_init(&d);
	d.queue_changed = changed;
	while (input_next(&in, &m, fds, &count) && vhost_device_handle(&d, &m, fds, count, NULL) >= 0)
		;
	vhost_device_done(&d);
	return 0;
}
