/* SPDX-License-Identifier: Apache-2.0
 * The memory table. Regions are few (a dozen for a PC), so a linear search finds them. Each
 * comparison is "offset < size" after a subtraction that cannot wrap, never a sum that could. */
#include "fsd/vhost/guest_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a - b < b_size || b - a < a_size;
}

int guest_memory_add(struct guest_memory *m, uint64_t guest, uint64_t user, uint64_t size, void *host)
{
	if (size == 0 || guest + size < guest || user + size < user)
		return -EINVAL;
	for (unsigned i = 0; i < m->count; i++) {
		const struct guest_region *region = &m->regions[i];
		if (overlaps(guest, size, region->guest, region->size) ||
		    overlaps(user, size, region->user, region->size))
			return -EINVAL;
	}
	if (m->count == GUEST_MEMORY_REGIONS)
		return -ENOSPC;
	m->regions[m->count++] = (struct guest_region){ .guest = guest, .user = user, .size = size, .host = host };
	return 0;
}

int guest_memory_map(struct guest_memory *m, const struct guest_region *where, int fd, uint64_t offset,
    struct error **err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "the guest's memory");
	/* An access beyond the end of the file would raise SIGBUS. */
	if (S_ISREG(st.st_mode) && (offset > (uint64_t)st.st_size || where->size > (uint64_t)st.st_size - offset))
		return error_set(err, EINVAL, "a memory region of %llu bytes at %llu is larger than its file",
		    (unsigned long long)where->size, (unsigned long long)offset);
	/* The start of a mapping must be a multiple of the file's page size (huge pages report
	 * theirs as the block size). */
	uint64_t block =
	    st.st_blksize > 4096 && (st.st_blksize & (st.st_blksize - 1)) == 0 ? (uint64_t)st.st_blksize : 4096;
	uint64_t slack = offset & (block - 1);
	if (where->size > SIZE_MAX / 2 || slack > SIZE_MAX / 2)
		return error_set(err, EINVAL, "a memory region of %llu bytes is too large",
		    (unsigned long long)where->size);
	size_t map_size = where->size + slack;
	char *map =
	    mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)(offset - slack));
	if (map == MAP_FAILED)
		return error_set_errno(err, errno, "cannot map the guest's memory");
	int r = guest_memory_add(m, where->guest, where->user, where->size, map + slack);
	if (r < 0) {
		munmap(map, map_size);
		return error_set(err, -r, "the memory table has a region that wraps, is empty or overlaps another");
	}
	/* Keeps the guest's memory out of core dumps. */
	(void)madvise(map, map_size, MADV_DONTDUMP);
	m->regions[m->count - 1].map = map;
	m->regions[m->count - 1].map_size = map_size;
	return 0;
}

int guest_memory_unmap(struct guest_memory *m, const struct guest_region *which)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct guest_region *region = &m->regions[i];
		if (region->guest != which->guest || region->user != which->user || region->size != which->size)
			continue;
		if (region->map)
			munmap(region->map, region->map_size);
		*region = m->regions[--m->count];
		return 0;
	}
	return -ENOENT;
}

void guest_memory_done(struct guest_memory *m)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->regions[i].map)
			munmap(m->regions[i].map, m->regions[i].map_size);
	m->count = 0;
}

uint64_t guest_memory_size(const struct guest_memory *m)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < m->count; i++)
		sum = sum + m->regions[i].size < sum ? UINT64_MAX : sum + m->regions[i].size;
	return sum;
}

void *guest_memory_from_user(const struct guest_memory *m, uint64_t user, uint64_t size, unsigned align)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct guest_region *region = &m->regions[i];
		uint64_t offset = user - region->user;
		if (user < region->user || offset >= region->size || size > region->size - offset)
			continue;
		char *host = region->host + offset;
		return ((uintptr_t)host & (align - 1)) ? NULL : host;
	}
	return NULL;
}

int guest_memory_describe(const struct guest_memory *m, uint64_t guest, uint64_t size, struct iovec *pieces,
    unsigned max)
{
	unsigned count = 0;
	while (size > 0) {
		const struct guest_region *found = NULL;
		for (unsigned i = 0; i < m->count && !found; i++)
			if (guest >= m->regions[i].guest && guest - m->regions[i].guest < m->regions[i].size)
				found = &m->regions[i];
		if (!found)
			return -EFAULT;
		if (count == max)
			return -E2BIG;
		uint64_t offset = guest - found->guest, part = MIN(size, found->size - offset);
		pieces[count++] = (struct iovec){ .iov_base = found->host + offset, .iov_len = part };
		guest += part; /* no wrap: at most the region's end */
		size -= part;
	}
	return (int)count;
}
