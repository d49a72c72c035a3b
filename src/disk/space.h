/* SPDX-License-Identifier: Apache-2.0
 * The disk's space: the fixed places of the file system's tables, the allocation of blocks, and
 * their writing. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/reserve.h"
#include "base/writeback.h"
#include "disk/tree.h"

enum {
	DISK_BLOCK = 4096,
	DISK_GROUP_BLOCKS = 32768,
	DISK_FLEX_GROUPS = 16, /* groups whose tables lie together at the start of the first */
	DISK_INODES = 8192,    /* a group */
	DISK_INODE_SIZE = 256,
	DISK_TABLE_BLOCKS = DISK_INODES * DISK_INODE_SIZE / DISK_BLOCK,
	DISK_DESCRIPTORS = 513, /* blocks of group descriptors, reserved ones included: 64 groups a block, 4 TiB */
};

#define DISK_FILE_BLOCKS_MAX 0xffff0000ULL /* a little less than 16 TiB */

struct disk_run {
	uint64_t start, count;
};

struct disk_space {
	int fd;
	uint64_t next;          /* no block from here on was given to anybody */
	uint64_t limit;         /* blocks that the file system may have */
	struct disk_run *freed; /* given back, holes in the file again; sorted by start */
	size_t freed_count;
	struct disk_run current; /* blocks for the present file, used before those at `next` */
	/* Data that lies together in the disk, to be written at once. */
	unsigned char *pending;
	uint64_t pending_at; /* byte offset */
	size_t pending_size;
	uint64_t written; /* bytes, of all data */
	struct reserve reserve;
	struct writeback writeback;
};

void disk_space_init(struct disk_space *s, int fd, uint64_t limit);
void disk_space_done(struct disk_space *s);

int disk_group_has_super(uint64_t group); /* sparse_super: 0, 1 and powers of 3, 5 and 7 */
/* Fixed places of a group's tables. */
uint64_t disk_group_block_bitmap(uint64_t group);
uint64_t disk_group_inode_bitmap(uint64_t group);
uint64_t disk_group_inode_table(uint64_t group);

/* Says that about `blocks` will be wanted next, together if possible. */
void disk_space_prepare(struct disk_space *s, uint64_t blocks);
/* Gives 1 to `want` blocks in a row: 0 or -ENOSPC. */
int disk_space_take(struct disk_space *s, uint64_t want, struct disk_run *ret, struct error **err);
/* Takes blocks back: their content becomes a hole. */
void disk_space_give(struct disk_space *s, uint64_t start, uint64_t count);

/* Writes whole blocks. Held back until disk_space_flush() or something elsewhere is written. */
int disk_space_write(struct disk_space *s, uint64_t block, const void *data, uint64_t count, struct error **err);
int disk_space_flush(struct disk_space *s, struct error **err);

/* Content: pieces of a file, offsets going up, into extents of the inode. Runs of zeros become
 * holes. */
struct disk_content {
	struct disk_space *space;
	struct disk_inode *inode;
	uint64_t block;           /* that `partial` is */
	size_t partial_size;      /* 0: none */
	uint64_t zeros_at, zeros; /* blocks of zeros seen last, not decided about yet */
	unsigned char partial[DISK_BLOCK];
};
void disk_content_start(struct disk_content *c, struct disk_space *s, struct disk_inode *inode, uint64_t size);
int disk_content_add(struct disk_content *c, const void *data, size_t size, uint64_t offset, struct error **err);
int disk_content_finish(struct disk_content *c, struct error **err);
