/* SPDX-License-Identifier: Apache-2.0
 * What QEMU has told so far of the machine and its queues, so that a worker who was not there can
 * be told the same: memory with its descriptors, the queues' set-up, their event descriptors. It is
 * data: nothing here maps memory or looks into a ring. */
#pragma once

#include "fsd/vhost/guest_memory.h"
#include "fsd/vhost/vhost_message.h"

struct front_queue {
	int sized, addressed, enabling; /* the message came */
	uint32_t size, enabled;
	struct vhost_vring_addr address;
	int kick, call, error; /* or -1 */
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
/* Notes a checked message that a worker has carried out. Descriptors that are kept are set to -1 in
 * fds. 0 or -EPROTO. */
int front_note(struct front *f, const struct vhost_message *m, int *fds, unsigned count);
/* Says all of it again, in an order in which queues start last. `say` returns 0 or -errno, which
 * ends it. */
int front_repeat(const struct front *f, int (*say)(const struct vhost_message *m, int fd, void *data), void *data);
