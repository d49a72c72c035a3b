/* SPDX-License-Identifier: Apache-2.0
 * The file system around a finished tree. Inside src/disk only. */
#pragma once

#include <ext2fs/ext2fs.h>

#include "disk/space.h"
#include "disk/tree.h"

/* of what no layer has a time for: 2020-01-01, so that the same layers give the same bytes */
#define DISK_TIME 1577836800U

struct disk_maker {
	ext2_filsys fs;
	struct disk_tree *tree;
	struct disk_space *space;
	struct disk_inode **inodes; /* by number, from first_inode on */
	size_t count;
	uint32_t first_inode;
	const unsigned char *uuid;
};

/* Declares the file system in space->fd and writes everything that is not content. */
int disk_make(struct disk_tree *tree, struct disk_space *space, const unsigned char uuid[16], struct error **err);

/* libext2fs's error as ours: 0 for 0. */
int disk_ext2_error(errcode_t code, struct error **err, const char *what);
/* Marks an inode's blocks as used. */
void disk_mark_extents(struct disk_maker *m, const struct disk_inode *inode);

/* ext4_dir.c: at most how many blocks a directory takes; writes it, setting its size and
 * extents. */
uint64_t disk_directory_blocks_max(const struct disk_inode *directory);
int disk_directory_write(struct disk_maker *m, struct disk_inode *directory, struct error **err);

/* ext4_inode.c: at most how many blocks an inode takes for its extents and attributes; writes
 * it. */
uint64_t disk_inode_blocks_max(const struct disk_inode *inode);
int disk_inode_write(struct disk_maker *m, struct disk_inode *inode, struct error **err);
