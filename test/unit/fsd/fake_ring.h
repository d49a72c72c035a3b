/* SPDX-License-Identifier: Apache-2.0
 * A guest's memory with one split virtqueue (VIRTIO 1.2, 2.7) at its beginning, and the eventfds of
 * that queue. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fsd/vhost/virtqueue.h"

enum { RING = 64, AVAIL = 4096, USED = 8192 };

struct fake_ring {
	int memory, kick, call;
	size_t size;
	char *base;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

static inline void ring_init(struct fake_ring *ring, size_t size)
{
	ring->memory = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(ring->memory, (off_t)size), 0);
	ring->size = size;
	ring->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->memory, 0);
	assert_true(ring->base != MAP_FAILED);
	ring->desc = (void *)ring->base;
	ring->avail = (void *)(ring->base + AVAIL);
	ring->used = (void *)(ring->base + USED);
	ring->kick = eventfd(0, EFD_CLOEXEC);
	ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static inline void ring_done(struct fake_ring *ring)
{
	munmap(ring->base, ring->size);
	close(ring->memory);
	close(ring->kick);
	close(ring->call);
}

/* Makes a request available, the chain of two descriptors from `head` on: what the device reads,
 * and what it may write, as offsets in the memory. */
static inline void ring_put(struct fake_ring *ring, unsigned head, uint64_t in, size_t in_size, uint64_t out,
    size_t out_size)
{
	ring->desc[head] = (struct vring_desc){ in, (uint32_t)in_size, VRING_DESC_F_NEXT, (uint16_t)(head + 1) };
	ring->desc[head + 1] = (struct vring_desc){ out, (uint32_t)out_size, VRING_DESC_F_WRITE, 0 };
	ring->avail->ring[ring->avail->idx % RING] = (uint16_t)head;
	__atomic_store_n(&ring->avail->idx, (uint16_t)(ring->avail->idx + 1), __ATOMIC_RELEASE);
}

static inline void ring_kick(struct fake_ring *ring)
{
	uint64_t one = 1;
	assert_int_equal(write(ring->kick, &one, sizeof one), sizeof one);
}
