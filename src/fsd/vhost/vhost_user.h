/* SPDX-License-Identifier: Apache-2.0
 * The vhost-user protocol from the device's side, as QEMU speaks it for vhost-user-fs-pci (QEMU's
 * docs/interop/vhost-user.rst): the memory table, the queues' addresses and their event
 * descriptors. It knows nothing of FUSE and nothing of the event loop. */
#pragma once

#include <stdint.h>

#include "fsd/vhost/guest_memory.h"
#include "fsd/vhost/vhost_message.h"
#include "fsd/vhost/virtqueue.h"

struct vhost_queue {
	struct virtqueue ring;
	/* addresses in QEMU's process, translated anew with each memory table */
	uint64_t user_desc, user_avail, user_used;
	uint16_t base;     /* where to start taking requests */
	int addressed : 1; /* the addresses were given */
	int enabled : 1;
	int started : 1;       /* the ring may be used */
	int kick, call, error; /* event descriptors, or -1 */
};

struct vhost_device {
	struct guest_memory memory;
	struct vhost_queue queues[VHOST_QUEUES];
	uint64_t features, protocol_features; /* agreed on */
	/* Before a queue stops or memory goes away: whoever holds requests of it must be done with
	 * them when this returns. */
	/* in before_change: a queue comes to its end, so all requests are to be answered, those
	 * that wait for something as well */
	int stopping;
	void (*before_change)(struct vhost_device *d, void *data);
	/* A queue was started, stopped or has another kick descriptor. */
	void (*queue_changed)(struct vhost_device *d, unsigned index, void *data);
	void *data;
};

void vhost_device_init(struct vhost_device *d);
/* Its queues go on as the ledger (borrowed) says, and note there what the next one has to know. */
void vhost_device_use_ledger(struct vhost_device *d, struct ledger *l);
void vhost_device_done(struct vhost_device *d);

/* Carries out one message. fds are taken (all are closed or kept). 0: nothing to send; 1: m now
 * holds the reply to send; -errno when the peer broke the protocol (the text says how): the
 * connection is of no use then. */
int vhost_device_handle(struct vhost_device *d, struct vhost_message *m, int *fds, unsigned fd_count,
    struct error **err);
/* Receives one message from the socket, carries it out and answers. 1, 0 at the end of the
 * connection, -errno. */
int vhost_device_receive(struct vhost_device *d, int socket, struct error **err);
/* Interrupts the guest for a queue. */
void vhost_queue_interrupt(struct vhost_queue *q);
