/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: when all layers were read, the content lies in the file where space.c put
 * it, and the tree is in memory. Now every inode gets a number, the number of groups is chosen so
 * that blocks and inodes fit with some room, libext2fs lays out an empty file system of that size
 * with the tables in the places that space.c kept free, the content's blocks are marked as used,
 * directories and inodes are written, and what is left (resize inode, journal, blocks of attributes
 * and extents) is allocated by libext2fs.
 *
 * The file system is small, and grown online by whoever boots a machine from it: 513 blocks are
 * kept for descriptors, which is 4 TiB; past that Linux switches to meta_bg by itself. Tables that
 * hold nothing are holes in the file, which read as zeros, so they are marked as zeroed and no
 * kernel writes them again. For those that growing adds there is the default mount option
 * noinit_itable: they stay unwritten too, as a machine's disk reads as zeros where nobody wrote.
 * (Growing itself should be done with init_itable, or the kernel zeroes them at once:
 * agent/platform/vm/disk.c.)
 */
#include "disk/ext4_make.h"

#include <errno.h>
#include <et/com_err.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"

enum { JOURNAL_BLOCKS = 16384, GROUPS_MIN = 4, SLACK_PERCENT = 15, SLACK_BLOCKS = 32768, SLACK_INODES = 8192 };

int disk_ext2_error(errcode_t code, struct error **err, const char *what)
{
	if (code == 0)
		return 0;
	/* Small codes are errno's, others libext2fs's own. */
	if (code > 0 && code < 1024)
		return error_set_errno(err, (int)code, "cannot write the disk (%s)", what);
	if (code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL)
		return error_set(err, ENOSPC, "the disk is full (%s)", what);
	return error_set(err, EIO, "cannot write the disk (%s: %s)", what, error_message(code));
}

static void number_inode(struct disk_maker *m, struct disk_inode *inode)
{
	if (inode->number != 0)
		return;
	inode->number = m->first_inode + (uint32_t)m->count;
	m->inodes[m->count++] = inode;
}

/* Numbers the inodes so that those of one directory lie together in the inode table. */
static void number_below(struct disk_maker *m, struct disk_inode *directory)
{
	for (struct disk_name *n = directory->first; n; n = n->after)
		number_inode(m, n->inode);
	for (struct disk_name *n = directory->first; n; n = n->after)
		if (n->inode->type == TAR_DIRECTORY)
			number_below(m, n->inode);
}

static void add_lost_found(struct disk_maker *m)
{
	static const char name[] = "lost+found";
	if (disk_tree_find(m->tree, m->tree->root, name, strlen(name)))
		return;
	struct disk_inode *inode = disk_inode_new(m->tree, TAR_DIRECTORY);
	inode->mode = 0700;
	inode->mtime = inode->atime = inode->ctime = DISK_TIME;
	disk_tree_add(m->tree, m->tree->root, name, strlen(name), inode);
}

static void number_all(struct disk_maker *m)
{
	m->first_inode = EXT2_GOOD_OLD_FIRST_INO;
	m->inodes = xcalloc(m->tree->inodes, sizeof(struct disk_inode *));
	m->tree->root->number = EXT2_ROOT_INO;
	number_below(m, m->tree->root);
}

/* How many groups hold what there is, and what is still to be written at the most, with room. */
static uint64_t count_groups(struct disk_maker *m)
{
	uint64_t more = JOURNAL_BLOCKS + 2 * DISK_DESCRIPTORS + disk_directory_blocks_max(m->tree->root) +
			disk_inode_blocks_max(m->tree->root);
	for (size_t i = 0; i < m->count; i++) {
		if (m->inodes[i]->type == TAR_DIRECTORY)
			more += disk_directory_blocks_max(m->inodes[i]);
		more += disk_inode_blocks_max(m->inodes[i]);
	}
	uint64_t blocks = m->space->next + more;
	blocks += blocks / 100 * SLACK_PERCENT + SLACK_BLOCKS;
	uint64_t inodes = m->count + m->first_inode;
	inodes += inodes / 100 * SLACK_PERCENT + SLACK_INODES;
	/* Tables of all groups of a flex group lie in its first. */
	blocks += DISK_FLEX_GROUPS * (2 + DISK_TABLE_BLOCKS);
	uint64_t groups = MAX(blocks / DISK_GROUP_BLOCKS, inodes / DISK_INODES) + 1;
	return MAX(groups, (uint64_t)GROUPS_MIN);
}

static void set_parameters(struct ext2_super_block *p, uint64_t groups)
{
	p->s_rev_level = EXT2_DYNAMIC_REV;
	p->s_log_block_size = 2;
	p->s_log_cluster_size = 2;
	p->s_inode_size = DISK_INODE_SIZE;
	p->s_blocks_per_group = DISK_GROUP_BLOCKS;
	p->s_log_groups_per_flex = (uint8_t)__builtin_ctz(DISK_FLEX_GROUPS);
	p->s_min_extra_isize = p->s_want_extra_isize = sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
	p->s_desc_size = EXT2_MIN_DESC_SIZE_64BIT;
	p->s_reserved_gdt_blocks = (uint16_t)(DISK_DESCRIPTORS - (groups + 63) / 64);
	p->s_inodes_count = (uint32_t)(groups * DISK_INODES);
	p->s_feature_compat =
	    EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_DIR_INDEX | EXT2_FEATURE_COMPAT_RESIZE_INODE;
	p->s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
				EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG;
	p->s_feature_ro_compat = EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
				 EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
				 EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
	ext2fs_blocks_count_set(p, groups * DISK_GROUP_BLOCKS);
}

static void set_super(struct disk_maker *m)
{
	struct ext2_super_block *s = m->fs->super;
	m->fs->now = DISK_TIME;
	s->s_wtime = s->s_lastcheck = s->s_mkfs_time = DISK_TIME;
	memcpy(s->s_uuid, m->uuid, sizeof s->s_uuid);
	memcpy(s->s_hash_seed, m->uuid, sizeof s->s_hash_seed);
	s->s_checksum_type = EXT2_CRC32C_CHKSUM;
	s->s_max_mnt_count = -1;
	s->s_errors = EXT2_ERRORS_RO;
	s->s_def_hash_version = EXT2_HASH_HALF_MD4;
	s->s_flags = EXT2_FLAGS_SIGNED_HASH;
	s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	snprintf((char *)s->s_mount_opts, sizeof s->s_mount_opts, "noinit_itable");
	ext2fs_init_csum_seed(m->fs);
}

/* Puts the tables where space.c left room for them. */
static void place_tables(struct disk_maker *m)
{
	ext2_filsys fs = m->fs;
	for (dgrp_t g = 0; g < fs->group_desc_count; g++) {
		ext2fs_block_bitmap_loc_set(fs, g, disk_group_block_bitmap(g));
		ext2fs_inode_bitmap_loc_set(fs, g, disk_group_inode_bitmap(g));
		ext2fs_inode_table_loc_set(fs, g, disk_group_inode_table(g));
		ext2fs_block_alloc_stats2(fs, disk_group_block_bitmap(g), 1);
		ext2fs_block_alloc_stats2(fs, disk_group_inode_bitmap(g), 1);
		ext2fs_block_alloc_stats_range(fs, disk_group_inode_table(g), DISK_TABLE_BLOCKS, 1);
	}
}

static int open_new(struct disk_maker *m, uint64_t groups, struct error **err)
{
	struct ext2_super_block parameters = { 0 };
	char name[16];
	int fd = fcntl(m->space->fd, F_DUPFD_CLOEXEC, 3); /* libext2fs closes it */
	if (fd < 0 || ftruncate(fd, (off_t)(groups * DISK_GROUP_BLOCKS * DISK_BLOCK)) < 0) {
		int r = error_set_errno(err, errno, "cannot set the disk's size");
		if (fd >= 0)
			close(fd);
		return r;
	}
	snprintf(name, sizeof name, "%d", fd);
	set_parameters(&parameters, groups);
	errcode_t code = ext2fs_initialize(name, EXT2_FLAG_64BITS, &parameters, unixfd_io_manager, &m->fs);
	if (code) {
		close(fd);
		return disk_ext2_error(code, err, "its layout");
	}
	if (m->fs->group_desc_count != groups || m->fs->super->s_inodes_per_group != DISK_INODES ||
	    m->fs->inode_blocks_per_group != DISK_TABLE_BLOCKS ||
	    m->fs->desc_blocks + m->fs->super->s_reserved_gdt_blocks != DISK_DESCRIPTORS)
		return error_set(err, EIO, "this libext2fs lays disks out in another way than is expected");
	set_super(m);
	place_tables(m);
	return 0;
}

void disk_mark_extents(struct disk_maker *m, const struct disk_inode *inode)
{
	for (uint32_t i = 0; i < inode->extent_count; i++)
		ext2fs_block_alloc_stats_range(m->fs, inode->extents[i].physical, inode->extents[i].count, 1);
}

static int write_tree(struct disk_maker *m, struct error **err)
{
	for (uint32_t i = 1; i < m->first_inode; i++)
		ext2fs_inode_alloc_stats2(m->fs, i, 1, i == EXT2_ROOT_INO);
	for (size_t i = 0; i < m->count; i++) {
		ext2fs_inode_alloc_stats2(m->fs, m->inodes[i]->number, 1, m->inodes[i]->type == TAR_DIRECTORY);
		disk_mark_extents(m, m->inodes[i]);
	}
	int r = disk_directory_write(m, m->tree->root, err);
	for (size_t i = 0; r == 0 && i < m->count; i++)
		if (m->inodes[i]->type == TAR_DIRECTORY)
			r = disk_directory_write(m, m->inodes[i], err);
	if (r < 0 || (r = disk_space_flush(m->space, err)) < 0)
		return r;
	r = disk_inode_write(m, m->tree->root, err);
	for (size_t i = 0; r == 0 && i < m->count; i++)
		r = disk_inode_write(m, m->inodes[i], err);
	return r;
}

static int finish(struct disk_maker *m, struct error **err)
{
	ext2_filsys fs = m->fs;
	errcode_t code = ext2fs_update_bb_inode(fs, NULL);
	if (code == 0)
		code = ext2fs_create_resize_inode(fs);
	if (code == 0)
		code =
		    ext2fs_add_journal_inode(fs, JOURNAL_BLOCKS, EXT2_MKJOURNAL_NO_MNT_CHECK | EXT2_MKJOURNAL_LAZYINIT);
	if (code)
		return disk_ext2_error(code, err, "its journal");
	for (dgrp_t g = 0; g < fs->group_desc_count; g++) {
		ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(fs, g);
	}
	ext2fs_mark_super_dirty(fs);
	ext2fs_mark_bb_dirty(fs);
	ext2fs_mark_ib_dirty(fs);
	code = ext2fs_close2(fs, EXT2_FLAG_FLUSH_NO_SYNC);
	if (code == 0)
		m->fs = NULL;
	return disk_ext2_error(code, err, "its tables");
}

int disk_make(struct disk_tree *tree, struct disk_space *space, const unsigned char uuid[16], struct error **err)
{
	struct disk_maker m = { .tree = tree, .space = space, .uuid = uuid };
	add_lost_found(&m);
	number_all(&m);
	uint64_t groups = count_groups(&m);
	int r = 0;
	if (groups > (DISK_DESCRIPTORS - 1) * 64)
		r = error_set(err, ENOSPC, "the image is larger than a disk can be");
	space->limit = groups * DISK_GROUP_BLOCKS;
	if (r == 0)
		r = open_new(&m, groups, err);
	if (r == 0)
		r = write_tree(&m, err);
	if (r == 0)
		r = finish(&m, err);
	if (m.fs)
		ext2fs_free(m.fs);
	free(m.inodes);
	return r;
}
