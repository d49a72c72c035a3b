/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: nobody knows how large the tree gets before the last layer was read, so
 * files are written before there is a file system around them. That works because the places of its
 * tables depend on the number of a group alone:
 *
 *   group with a super block   super block, DISK_DESCRIPTORS blocks of descriptors (those not used
 *                              yet are reserved for growing)
 *   every 16th group           then 16 block bitmaps, 16 inode bitmaps, 16 inode tables
 *
 * Everything else of a group is for content, given out from the front. Blocks of files that a later
 * layer replaces are punched out of the file and given out again to files that fit. At the end as
 * many groups are declared as are needed (ext4_make.c).
 *
 * Small files lie behind one another and are written together: one write(2) for a megabyte of them.
 */
#include "disk/space.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"

enum { PENDING_MAX = 1 << 20, DIRECT_MIN = 256 << 10, FREED_MAX = 65536 };

void disk_space_init(struct disk_space *s, int fd, uint64_t limit)
{
	*s = (struct disk_space){ .fd = fd, .limit = limit };
	s->pending = xmalloc(PENDING_MAX);
}

void disk_space_done(struct disk_space *s)
{
	free(s->pending);
	free(s->freed);
	*s = (struct disk_space){ .fd = -1 };
}

static int is_power_of(uint64_t n, uint64_t base)
{
	while (n > 1 && n % base == 0)
		n /= base;
	return n == 1;
}

int disk_group_has_super(uint64_t group)
{
	return group <= 1 || is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7);
}

static uint64_t group_head(uint64_t group)
{
	return group * DISK_GROUP_BLOCKS + (disk_group_has_super(group) ? 1 + DISK_DESCRIPTORS : 0);
}

/* Tables of group i of a flex group: i-th of each kind, behind the first group's head. */
uint64_t disk_group_block_bitmap(uint64_t group)
{
	return group_head(group - group % DISK_FLEX_GROUPS) + group % DISK_FLEX_GROUPS;
}

uint64_t disk_group_inode_bitmap(uint64_t group)
{
	return disk_group_block_bitmap(group) + DISK_FLEX_GROUPS;
}

uint64_t disk_group_inode_table(uint64_t group)
{
	return group_head(group - group % DISK_FLEX_GROUPS) + 2 * DISK_FLEX_GROUPS +
	       group % DISK_FLEX_GROUPS * DISK_TABLE_BLOCKS;
}

/* The first block of a group that content may use. */
static uint64_t group_content(uint64_t group)
{
	if (group % DISK_FLEX_GROUPS == 0)
		return group_head(group) + DISK_FLEX_GROUPS * (2 + DISK_TABLE_BLOCKS);
	return group_head(group);
}

/* The run of content blocks at or behind block; it ends with the group. */
static struct disk_run content_run(uint64_t block)
{
	uint64_t group = block / DISK_GROUP_BLOCKS;
	uint64_t start = MAX(block, group_content(group)), end = (group + 1) * DISK_GROUP_BLOCKS;
	return (struct disk_run){ start, end - start };
}

void disk_space_prepare(struct disk_space *s, uint64_t blocks)
{
	if (s->current.count > 0)
		disk_space_give(s, s->current.start, s->current.count);
	s->current = (struct disk_run){ 0 };
	for (size_t i = 0; blocks > 0 && i < s->freed_count; i++) {
		if (s->freed[i].count < blocks)
			continue;
		s->current = (struct disk_run){ s->freed[i].start, blocks };
		s->freed[i].start += blocks;
		s->freed[i].count -= blocks;
		if (s->freed[i].count == 0)
			memmove(&s->freed[i], &s->freed[i + 1], (--s->freed_count - i) * sizeof s->freed[0]);
		return;
	}
}

int disk_space_take(struct disk_space *s, uint64_t want, struct disk_run *ret, struct error **err)
{
	if (s->current.count > 0) {
		*ret = (struct disk_run){ s->current.start, MIN(want, s->current.count) };
		s->current.start += ret->count;
		s->current.count -= ret->count;
		return 0;
	}
	struct disk_run run = content_run(s->next);
	run.count = MIN(run.count, want);
	if (run.start + run.count > s->limit)
		return error_set(err, ENOSPC, "the image is larger than a disk can be (%llu bytes)",
		    (unsigned long long)s->limit * DISK_BLOCK);
	s->next = run.start + run.count;
	*ret = run;
	return 0;
}

void disk_space_give(struct disk_space *s, uint64_t start, uint64_t count)
{
	if (count == 0)
		return;
	/* Nothing that is still held back may fill the hole again. Should the write fail, the next
	 * one says so. */
	uint64_t from = start * DISK_BLOCK, to = (start + count) * DISK_BLOCK;
	if (s->pending_size > 0 && s->pending_at < to && s->pending_at + s->pending_size > from)
		disk_space_flush(s, NULL);
	/* Blocks must read as zeros or be written before anything refers to them; both hold where
	 * the file system cannot punch holes. */
	(void)!fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
	size_t low = 0, high = s->freed_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (s->freed[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	int joins_before = low > 0 && s->freed[low - 1].start + s->freed[low - 1].count == start;
	int joins_after = low < s->freed_count && start + count == s->freed[low].start;
	if (joins_before) {
		s->freed[low - 1].count += count + (joins_after ? s->freed[low].count : 0);
		if (joins_after)
			memmove(&s->freed[low], &s->freed[low + 1], (--s->freed_count - low) * sizeof s->freed[0]);
	} else if (joins_after) {
		s->freed[low].start = start;
		s->freed[low].count += count;
	} else if (s->freed_count < FREED_MAX) { /* past that, holes just stay unused */
		if ((s->freed_count & (s->freed_count - 1)) == 0)
			s->freed = xrealloc(s->freed, s->freed_count ? s->freed_count * 2 : 1, sizeof *s->freed);
		memmove(&s->freed[low + 1], &s->freed[low], (s->freed_count++ - low) * sizeof s->freed[0]);
		s->freed[low] = (struct disk_run){ start, count };
	}
}

static int write_at(struct disk_space *s, const unsigned char *data, size_t size, uint64_t at, struct error **err)
{
	int r = reserve_take(&s->reserve, s->fd, size, err);
	if (r < 0)
		return error_prefix(err, r, "cannot write the disk");
	while (size > 0) {
		ssize_t n = pwrite(s->fd, data, size, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set_errno(err, n < 0 ? errno : ENOSPC, "cannot write the disk");
		data += n;
		at += (uint64_t)n;
		size -= (size_t)n;
		writeback_note(&s->writeback, s->fd, (uint64_t)n);
	}
	return 0;
}

int disk_space_flush(struct disk_space *s, struct error **err)
{
	int r = write_at(s, s->pending, s->pending_size, s->pending_at, err);
	if (r == 0)
		s->pending_size = 0;
	return r;
}

int disk_space_write(struct disk_space *s, uint64_t block, const void *data, uint64_t count, struct error **err)
{
	uint64_t at = block * DISK_BLOCK, size = count * DISK_BLOCK;
	int follows = s->pending_size > 0 && s->pending_at + s->pending_size == at;
	int r = 0;
	s->written += size;
	if (s->pending_size > 0 && (!follows || s->pending_size + size > PENDING_MAX) &&
	    (r = disk_space_flush(s, err)) < 0)
		return r;
	if (s->pending_size == 0 && size >= DIRECT_MIN)
		return write_at(s, data, size, at, err);
	if (s->pending_size == 0)
		s->pending_at = at;
	memcpy(s->pending + s->pending_size, data, size);
	s->pending_size += size;
	return 0;
}
