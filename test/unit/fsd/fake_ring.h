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

static inline void ring_init(struct fake_ring *r, size_t size)
{
	r->memory = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->memory, (off_t)size), 0);
	r->size = size;
	r->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->memory, 0);
	assert_true(r->base != MAP_FAILED);
	r->desc = (void *)r->base;
	r->avail = (void *)(r->base + AVAIL);
	r->used = (void *)(r->base + USED);
	r->kick = eventfd(0, EFD_CLOEXEC);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static inline void ring_done(struct fake_ring *r)
{
	munmap(r->base, r->size);
	close(r->memory);
	close(r->kick);
	close(r->call);
}

/* Makes a request available, the chain of two descriptors from `head` on: what the device reads,
 * and what it may write, as offsets in the memory. */
static inline void ring_put(struct fake_ring *r, unsigned head, uint64_t in, size_t in_size, uint64_t out,
    size_t out_size)
{
	r->desc[head] = (struct vring_desc){ in, (uint32_t)in_size, VRING_DESC_F_NEXT, (uint16_t)(head + 1) };
	r->desc[head + 1] = (struct vring_desc){ out, (uint32_t)out_size, VRING_DESC_F_WRITE, 0 };
	r->avail->ring[r->avail->idx % RING] = (uint16_t)head;
	__atomic_store_n(&r->avail->idx, (uint16_t)(r->avail->idx + 1), __ATOMIC_RELEASE);
}

static inline void ring_kick(struct fake_ring *r)
{
	uint64_t one = 1;
	assert_int_equal(write(r->kick, &one, sizeof one), sizeof one);
}
