/* SPDX-License-Identifier: Apache-2.0
 * Split virtqueues, the device's side (virtio 1.1, section 2.6), without indirect descriptors. */
#pragma once

#include <linux/virtio_ring.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fsd/request/ledger.h"
#include "fsd/vhost/guest_memory.h"

enum {
	VIRTQUEUE_MAX = 1024,                                /* entries; the same as QEMU's limit */
	CHAIN_PIECES = VIRTQUEUE_MAX + GUEST_MEMORY_REGIONS, /* a buffer can span regions */
};

struct virtqueue {
	struct ledger_queue *ledger; /* the state for the next worker (borrowed); NULL: none */
	unsigned size;               /* entries; a power of two; 0: not set up */
	struct vring_desc *desc;     /* in the guest's memory, which can change at any time */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail; /* the next entry of the available ring to take */
	uint16_t next_used;  /* the next entry of the used ring to fill */
	unsigned in_flight;  /* taken and not answered yet */
	uint16_t signalled;  /* next_used at the last decision about an interrupt */
	int signalled_valid : 1;
	int event_idx : 1;  /* VIRTIO_RING_F_EVENT_IDX was negotiated */
	uint64_t left;      /* order of the last of a dead worker's requests that was taken again */
	uint64_t left_last; /* order of the last one there is; 0: none */
	const char *broken; /* the guest's violation, which stops the queue until a reset; NULL: none */
};

/* One request: the guest's buffers in order, readable ones first. */
struct chain {
	uint16_t head;
	unsigned in_count, out_count;
	struct iovec pieces[CHAIN_PIECES]; /* in_count readable ones, then out_count writable ones */
};

/* Bytes of the three parts for `size` entries, with the event fields. */
#define VIRTQUEUE_DESC_SIZE(size) ((uint64_t)(size) * sizeof(struct vring_desc))
#define VIRTQUEUE_AVAIL_SIZE(size) (sizeof(struct vring_avail) + (uint64_t)(size)*2 + 2)
#define VIRTQUEUE_USED_SIZE(size) (sizeof(struct vring_used) + (uint64_t)(size) * sizeof(struct vring_used_elem) + 2)

/* Starts at `base` in the available ring, and at the used ring's present index. */
void virtqueue_start(struct virtqueue *q, uint16_t base, int event_idx);
/* Continues from the ledger, where the dead worker stopped. */
void virtqueue_resume(struct virtqueue *q, int event_idx);
/* Resumes if the ledger says that the queue was running, else starts at `base`. */
void virtqueue_start_or_resume(struct virtqueue *q, uint16_t base, int event_idx);
/* Makes virtqueue_pop_left() take the requests in flight again, as after the death of a worker. */
void virtqueue_leave(struct virtqueue *q);
/* Notes in the ledger that no request of this queue is in flight any more. */
void virtqueue_stop(struct virtqueue *q);
/* Takes the next request that a dead worker took and did not answer, in their order. 1, 0 when
 * there is none left, -EPROTO. */
int virtqueue_pop_left(struct virtqueue *q, const struct guest_memory *m, struct chain *c);
/* The ledger's record of a request in flight; NULL without a ledger. */
struct flight *virtqueue_flight(struct virtqueue *q, uint16_t head);
/* Takes the next request. 1, 0 when there is none, -EPROTO when the guest violated the rules (see
 * q->broken). */
int virtqueue_pop(struct virtqueue *q, const struct guest_memory *m, struct chain *c);
/* Returns a request with `written` bytes in its writable buffers. 1 if the guest wants an
 * interrupt, else 0. */
int virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t written);
/* 1 if there is a request to take, else 0. Does not ask for a kick. */
int virtqueue_has_more(const struct virtqueue *q);
/* Asks for a kick at the next request. 1 if one has arrived meanwhile, which must be taken first;
 * else 0. */
int virtqueue_want_kick(struct virtqueue *q);
