/* SPDX-License-Identifier: Apache-2.0
 * A split virtqueue from the device's side (virtio 1.1, section 2.6), without indirect
 * descriptors. */
#pragma once

#include <linux/virtio_ring.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fsd/request/ledger.h"
#include "fsd/vhost/guest_memory.h"

enum {
	VIRTQUEUE_MAX = 1024,                                /* entries; QEMU's own limit */
	CHAIN_PIECES = VIRTQUEUE_MAX + GUEST_MEMORY_REGIONS, /* a buffer can cross from one region into the next */
};

struct virtqueue {
	struct ledger_queue *ledger; /* what is left behind if this process dies; borrowed; NULL: nothing */
	unsigned size;               /* entries; a power of two; 0: not set up */
	struct vring_desc *desc;     /* in the guest's memory: it can change under our eyes */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail; /* the next entry of the available ring to take */
	uint16_t next_used;  /* the next entry of the used ring to fill */
	unsigned in_flight;  /* taken and not yet given back */
	uint16_t signalled;  /* next_used when it was last asked whether to interrupt */
	int signalled_valid : 1;
	int event_idx : 1;  /* VIRTIO_RING_F_EVENT_IDX was agreed on */
	uint64_t left;      /* requests up to this one, of those that were left behind, were taken again */
	uint64_t left_last; /* the last of them; 0: none */
	const char *broken; /* what the guest did wrong; nothing is taken any more until the queue is set up anew */
};

/* One request: the guest's buffers in order, those to read first. */
struct chain {
	uint16_t head;
	unsigned in_count, out_count;
	struct iovec pieces[CHAIN_PIECES]; /* in_count to read, then out_count to write */
};

/* Sizes of the three parts for `size` entries, event fields included. */
#define VIRTQUEUE_DESC_SIZE(size) ((uint64_t)(size) * sizeof(struct vring_desc))
#define VIRTQUEUE_AVAIL_SIZE(size) (sizeof(struct vring_avail) + (uint64_t)(size)*2 + 2)
#define VIRTQUEUE_USED_SIZE(size) (sizeof(struct vring_used) + (uint64_t)(size) * sizeof(struct vring_used_elem) + 2)

/* Starts taking at `base`; what was used so far is read from the used ring. */
void virtqueue_start(struct virtqueue *q, uint16_t base, int event_idx);
/* Goes on where the process stood that had this queue and died. */
void virtqueue_resume(struct virtqueue *q, int event_idx);
/* The same, whichever the ledger demands: `base` counts unless something was left behind. */
void virtqueue_start_or_resume(struct virtqueue *q, uint16_t base, int event_idx);
/* What is under way is left behind, by this process as if by another: it is taken again by
 * virtqueue_pop_left(). */
void virtqueue_leave(struct virtqueue *q);
/* Nothing of this queue is under way any more. */
void virtqueue_stop(struct virtqueue *q);
/* A request that was left behind, in the order in which they were taken: 1, 0 when there is no
 * more, -EPROTO. */
int virtqueue_pop_left(struct virtqueue *q, const struct guest_memory *m, struct chain *c);
/* What is known of a request under way; NULL without a ledger. */
struct flight *virtqueue_flight(struct virtqueue *q, uint16_t head);
/* Takes the next request: 1, 0 when there is none, -EPROTO when the guest broke the rules
 * (q->broken says how). */
int virtqueue_pop(struct virtqueue *q, const struct guest_memory *m, struct chain *c);
/* Gives a request back with `written` bytes in its out buffers: 1 when the guest wants an
 * interrupt, else 0. */
int virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t written);
/* Whether a request is there to be taken; asks for nothing. */
int virtqueue_has_more(const struct virtqueue *q);
/* Asks for a kick at the next request: 1 when one has come meanwhile and must be taken first. */
int virtqueue_want_kick(struct virtqueue *q);
