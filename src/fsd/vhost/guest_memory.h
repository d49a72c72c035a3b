/* SPDX-License-Identifier: Apache-2.0
 * The guest's memory as this process sees it: the regions of vhost-user's memory table, mapped.
 * Every address that the guest or QEMU names goes through here and is checked against the regions;
 * nothing else turns a number into a pointer. */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

/* a PC has a dozen while its firmware starts; the rest is for memory that is plugged in */
enum { GUEST_MEMORY_REGIONS = 64 };

struct guest_region {
	uint64_t guest; /* guest-physical address */
	uint64_t user;  /* address in QEMU's process: ring addresses are given in these */
	uint64_t size;  /* bytes; guest + size and user + size do not wrap */
	char *host;     /* where it is here */
	void *map;      /* what to unmap, or NULL when the memory belongs to somebody else */
	size_t map_size;
};

struct guest_memory {
	struct guest_region regions[GUEST_MEMORY_REGIONS];
	unsigned count;
};

/* Adds memory that is mapped already (borrowed; tests). 0, -EINVAL when it wraps, is empty or
 * overlaps, -ENOSPC past the limit. */
int guest_memory_add(struct guest_memory *m, uint64_t guest, uint64_t user, uint64_t size, void *host);
/* Maps size bytes of fd (borrowed) at offset, readable and writable, shared. The file must be large
 * enough. */
int guest_memory_map(struct guest_memory *m, const struct guest_region *where, int fd, uint64_t offset,
    struct error **err);
/* Unmaps the one region that is exactly this. 0 or -ENOENT. */
int guest_memory_unmap(struct guest_memory *m, const struct guest_region *which);
void guest_memory_done(struct guest_memory *m); /* unmaps all; m is empty after */
uint64_t guest_memory_size(const struct guest_memory *m);

/* The place of size bytes at an address of QEMU's, all in one region and aligned to `align` (a
 * power of two); NULL if not so. */
void *guest_memory_from_user(const struct guest_memory *m, uint64_t user, uint64_t size, unsigned align);
/* Describes size bytes of guest-physical memory by at most max pieces (one per region touched): how
 * many, -EFAULT when any byte lies outside, -E2BIG when max is too few. */
int guest_memory_describe(const struct guest_memory *m, uint64_t guest, uint64_t size, struct iovec *pieces,
    unsigned max);
