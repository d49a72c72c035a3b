/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: content comes in pieces of any size. Whole blocks are taken where they lie;
 * the block at a piece's edge is put together in `partial`. Blocks of zeros are counted and not
 * written: when data follows, a short run is written after all (a file in few extents is worth more
 * than the space), a long run and one at the end become a hole.
 */
#include <errno.h>

#include "base/alloc.h"
#include "disk/space.h"

enum { HOLE_MIN = 16 }; /* blocks */

static const unsigned char zeros[HOLE_MIN * DISK_BLOCK];

void disk_content_start(struct disk_content *c, struct disk_space *s, struct disk_inode *inode, uint64_t size)
{
	c->space = s;
	c->inode = inode;
	c->block = c->partial_size = c->zeros_at = c->zeros = 0;
	disk_space_prepare(s, (size + DISK_BLOCK - 1) / DISK_BLOCK);
}

static void add_extent(struct disk_inode *inode, uint64_t logical, struct disk_run run)
{
	struct disk_extent *last = inode->extent_count ? &inode->extents[inode->extent_count - 1] : NULL;
	if (last && last->logical + last->count == logical && last->physical + last->count == run.start) {
		last->count += (uint32_t)run.count;
		return;
	}
	if ((inode->extent_count & (inode->extent_count - 1)) == 0)
		inode->extents =
		    xrealloc(inode->extents, inode->extent_count ? inode->extent_count * 2 : 1, sizeof *inode->extents);
	inode->extents[inode->extent_count++] =
	    (struct disk_extent){ run.start, (uint32_t)logical, (uint32_t)run.count };
}

/* Gives blocks a place and writes them. */
static int put(struct disk_content *c, uint64_t logical, const unsigned char *data, uint64_t count, struct error **err)
{
	while (count > 0) {
		struct disk_run run;
		int r = disk_space_take(c->space, count, &run, err);
		if (r < 0 || (r = disk_space_write(c->space, run.start, data, run.count, err)) < 0)
			return r;
		add_extent(c->inode, logical, run);
		logical += run.count;
		data += run.count * DISK_BLOCK;
		count -= run.count;
	}
	return 0;
}

static int is_zero(const unsigned char *block)
{
	uint64_t first;
	memcpy(&first, block, sizeof first);
	return first == 0 && memcmp(block, zeros, DISK_BLOCK) == 0;
}

/* Data follows at `block`: decides about the zeros in front of it. */
static int settle_zeros(struct disk_content *c, uint64_t block, struct error **err)
{
	uint64_t count = c->zeros;
	c->zeros = 0;
	if (count == 0 || count >= HOLE_MIN || c->zeros_at + count != block)
		return 0;
	return put(c, c->zeros_at, zeros, count, err);
}

static int add_blocks(struct disk_content *c, uint64_t block, const unsigned char *data, uint64_t count,
    struct error **err)
{
	for (uint64_t i = 0; i < count;) {
		uint64_t start = i;
		while (i < count && !is_zero(data + i * DISK_BLOCK))
			i++;
		if (i > start) {
			int r = settle_zeros(c, block + start, err);
			if (r < 0 || (r = put(c, block + start, data + start * DISK_BLOCK, i - start, err)) < 0)
				return r;
		}
		for (; i < count && is_zero(data + i * DISK_BLOCK); i++) {
			if (c->zeros == 0 || c->zeros_at + c->zeros != block + i) {
				c->zeros_at = block + i;
				c->zeros = 0;
			}
			c->zeros++;
		}
	}
	return 0;
}

static int flush_partial(struct disk_content *c, struct error **err)
{
	if (c->partial_size == 0)
		return 0;
	c->partial_size = 0;
	return add_blocks(c, c->block, c->partial, 1, err);
}

int disk_content_add(struct disk_content *c, const void *data, size_t size, uint64_t offset, struct error **err)
{
	const unsigned char *at = data;
	int r;
	while (size > 0) {
		uint64_t block = offset / DISK_BLOCK;
		size_t in_block = (size_t)(offset % DISK_BLOCK), n;
		if (c->partial_size > 0 && c->block != block && (r = flush_partial(c, err)) < 0)
			return r;
		if (block >= DISK_FILE_BLOCKS_MAX)
			return error_set(err, EFBIG, "the file is larger than 16 TiB");
		if (c->partial_size == 0 && in_block == 0 && size >= DISK_BLOCK) {
			uint64_t count = size / DISK_BLOCK;
			if ((r = add_blocks(c, block, at, count, err)) < 0)
				return r;
			n = (size_t)count * DISK_BLOCK;
		} else {
			if (c->partial_size == 0)
				memset(c->partial, 0, DISK_BLOCK);
			c->block = block;
			n = MIN(size, DISK_BLOCK - in_block);
			memcpy(c->partial + in_block, at, n);
			c->partial_size = in_block + n;
			if (c->partial_size == DISK_BLOCK && (r = flush_partial(c, err)) < 0)
				return r;
		}
		at += n;
		offset += n;
		size -= n;
	}
	return 0;
}

int disk_content_finish(struct disk_content *c, struct error **err)
{
	int r = flush_partial(c, err);
	disk_space_prepare(c->space, 0); /* gives back what was set aside and not used */
	return r;
}
