/* SPDX-License-Identifier: Apache-2.0
 * The guest's memory: the mapped regions of vhost-user's memory table. All addresses of the guest
 * and of QEMU are checked against the regions here. No other code turns an address into a
 * pointer. */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

/* a PC has a dozen while its firmware starts; the rest is for hot-plugged memory */
enum { GUEST_MEMORY_REGIONS = 64 };

struct guest_region {
	uint64_t guest; /* guest-physical address */
	uint64_t user;  /* address in QEMU's process; ring addresses are of this kind */
	uint64_t size;  /* bytes; guest + size and user + size do not wrap */
	char *host;     /* address in this process */
	void *map;      /* for munmap(2); NULL: borrowed memory */
	size_t map_size;
};

struct guest_memory {
	struct guest_region regions[GUEST_MEMORY_REGIONS];
	unsigned count;
};

/* Adds mapped memory (borrowed; for tests). 0; -EINVAL if it wraps, is empty or overlaps another
 * region; -ENOSPC over the limit. */
int guest_memory_add(struct guest_memory *m, uint64_t guest, uint64_t user, uint64_t size, void *host);
/* Maps where->size bytes of fd (borrowed) at offset: shared, readable and writable. 0; -EINVAL if
 * the file is too short or the region is invalid; -errno. */
int guest_memory_map(struct guest_memory *m, const struct guest_region *where, int fd, uint64_t offset,
    struct error **err);
/* Unmaps the region with exactly these addresses and this size. 0 or -ENOENT. */
int guest_memory_unmap(struct guest_memory *m, const struct guest_region *which);
/* Unmaps all regions; m is empty afterwards. */
void guest_memory_done(struct guest_memory *m);
/* The sum of the regions, bytes; UINT64_MAX if it wraps. */
uint64_t guest_memory_size(const struct guest_memory *m);

/* The pointer to size bytes at an address in QEMU's process. NULL if they do not lie in one region,
 * or are not aligned to `align` (a power of two). */
void *guest_memory_from_user(const struct guest_memory *m, uint64_t user, uint64_t size, unsigned align);
/* Describes size bytes of guest-physical memory by at most max pieces, one for each region. The
 * number of pieces; -EFAULT if a byte lies outside of the regions; -E2BIG if max is too small. */
int guest_memory_describe(const struct guest_memory *m, uint64_t guest, uint64_t size, struct iovec *pieces,
    unsigned max);
