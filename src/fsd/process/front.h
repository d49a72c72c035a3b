/* SPDX-License-Identifier: Apache-2.0
 * The front: QEMU's messages so far, for a worker that starts later. It holds the memory table with
 * its descriptors, the set-up of the queues and their event descriptors. It neither maps memory nor
 * reads a ring. */
#pragma once

#include "fsd/vhost/guest_memory.h"
#include "fsd/vhost/vhost_message.h"

struct front_queue {
	int sized, addressed, enabling; /* 1 once QEMU has sent the message */
	uint32_t size, enabled;
	struct vhost_vring_addr address;
	int kick, call, error; /* event descriptors, or -1 */
};

struct front {
	int has_features;
	uint64_t features, protocol_features;
	struct {
		struct vhost_user_region where;
		int fd;
	} regions[GUEST_MEMORY_REGIONS];
	unsigned region_count;
	struct front_queue queues[VHOST_QUEUES];
};

void front_init(struct front *f);
void front_done(struct front *f);
/* Records a checked message that a worker has carried out. Takes some descriptors, whose places in
 * fds become -1. 0 or -EPROTO. */
int front_note(struct front *f, const struct vhost_message *m, int *fds, unsigned count);
/* Repeats the recorded state as messages, with the start of the queues last. `say` returns 0 or
 * -errno, which ends the repetition. */
int front_repeat(const struct front *f, int (*say)(const struct vhost_message *m, int fd, void *data), void *data);
