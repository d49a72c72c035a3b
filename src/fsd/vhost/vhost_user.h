/* SPDX-License-Identifier: Apache-2.0
 * The back end of the vhost-user protocol, as QEMU speaks it for vhost-user-fs-pci (QEMU's
 * docs/interop/vhost-user.rst): the memory table, the queues' addresses and their event
 * descriptors. It depends neither on FUSE nor on the event loop. */
#pragma once

#include <stdint.h>

#include "fsd/vhost/guest_memory.h"
#include "fsd/vhost/vhost_message.h"
#include "fsd/vhost/virtqueue.h"

struct vhost_queue {
	struct virtqueue ring;
	/* addresses in QEMU's process, translated again after each change of memory */
	uint64_t user_desc, user_avail, user_used;
	uint16_t base;     /* index in the available ring at the start */
	int addressed : 1; /* QEMU has sent the addresses */
	int enabled : 1;
	int started : 1;       /* the ring may be used */
	int kick, call, error; /* event descriptors, or -1 */
};

struct vhost_device {
	struct guest_memory memory;
	struct vhost_queue queues[VHOST_QUEUES];
	uint64_t features, protocol_features; /* negotiated */
	/* 1 in before_change() when a queue ends: answer all requests, including those that wait
	 * for a lock */
	int stopping;
	/* Called before a queue stops or memory is unmapped. It must finish all requests in
	 * flight. */
	void (*before_change)(struct vhost_device *d, void *data);
	/* Called after a queue has started or stopped, or before its kick descriptor changes. */
	void (*queue_changed)(struct vhost_device *d, unsigned index, void *data);
	void *data;
};

void vhost_device_init(struct vhost_device *d);
/* Makes the queues continue from the ledger (borrowed), and record their state there. */
void vhost_device_use_ledger(struct vhost_device *d, struct ledger *l);
void vhost_device_done(struct vhost_device *d);

/* Carries out one message, and takes fds. 0: there is no reply; 1: m holds the reply to send;
 * -errno if the peer violated the protocol: close the connection then. */
int vhost_device_handle(struct vhost_device *d, struct vhost_message *m, int *fds, unsigned fd_count,
    struct error **err);
/* Receives one message from the socket, carries it out and replies. 1, 0 at the end of the
 * connection, -errno. */
int vhost_device_receive(struct vhost_device *d, int socket, struct error **err);
/* Interrupts the guest for a queue. */
void vhost_queue_interrupt(struct vhost_queue *q);
