/* SPDX-License-Identifier: Apache-2.0
 * Inodes of the disk, with extents and extended attributes (kernel:
 * Documentation/filesystems/ext4/).
 *
 * Up to four extents are in the inode itself, which is nearly every file; more become a tree by
 * libext2fs. Attributes are libext2fs's work too: in the inode as far as they fit, else in a block.
 * Times are 34 bits of seconds and 30 of nanoseconds; what lies outside (before 1901, after 2446)
 * becomes the nearest that can be said.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "disk/ext4_make.h"

enum { EXTENTS_IN_INODE = 4, EXTENT_BLOCKS_MAX = 32768, EXTENTS_IN_BLOCK = 340 };
#define TIME_MIN (-(1LL << 31))
#define TIME_MAX ((1LL << 34) - (1LL << 31) - 1)

static uint64_t count_extents(const struct disk_inode *inode)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < inode->extent_count; i++)
		count += (inode->extents[i].count + EXTENT_BLOCKS_MAX - 1) / EXTENT_BLOCKS_MAX;
	return count;
}

uint64_t disk_inode_blocks_max(const struct disk_inode *inode)
{
	uint64_t count = count_extents(inode), blocks = inode->xattr_count > 0;
	/* Blocks may be half full after splitting, and some levels of them refer to the others. */
	if (count > EXTENTS_IN_INODE)
		blocks += 4 + count * 3 / EXTENTS_IN_BLOCK;
	return blocks;
}

static uint64_t count_blocks(const struct disk_inode *inode)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < inode->extent_count; i++)
		count += inode->extents[i].count;
	return count;
}

static void put_time(int64_t seconds, uint32_t ns, uint32_t *low, uint32_t *extra)
{
	if (seconds < TIME_MIN || seconds > TIME_MAX) {
		seconds = seconds < TIME_MIN ? TIME_MIN : TIME_MAX;
		ns = 0;
	}
	*low = (uint32_t)seconds;
	*extra = ns << 2 | (uint32_t)(((seconds - (int32_t)seconds) >> 32) & 3);
}

static void put_times(const struct disk_inode *inode, struct ext2_inode_large *i)
{
	put_time(inode->mtime, inode->mtime_ns, &i->i_mtime, &i->i_mtime_extra);
	put_time(inode->atime, inode->atime_ns, &i->i_atime, &i->i_atime_extra);
	put_time(inode->ctime, inode->ctime_ns, &i->i_ctime, &i->i_ctime_extra);
	put_time(inode->mtime, inode->mtime_ns, &i->i_crtime, &i->i_crtime_extra);
}

/* Puts the extents into the inode: 0 when they do not fit. */
static int put_extents(const struct disk_inode *inode, struct ext2_inode_large *i)
{
	struct ext3_extent_header *header = (struct ext3_extent_header *)i->i_block;
	struct ext3_extent *to = (struct ext3_extent *)(header + 1);
	uint64_t count = count_extents(inode);
	*header = (struct ext3_extent_header){ .eh_magic = EXT3_EXT_MAGIC, .eh_max = EXTENTS_IN_INODE };
	i->i_flags |= EXT4_EXTENTS_FL;
	if (count > EXTENTS_IN_INODE)
		return 0;
	header->eh_entries = (uint16_t)count;
	for (uint32_t n = 0; n < inode->extent_count; n++) {
		struct disk_extent e = inode->extents[n];
		while (e.count > 0) {
			uint32_t part = MIN(e.count, (uint32_t)EXTENT_BLOCKS_MAX);
			*to++ = (struct ext3_extent){
				.ee_block = e.logical,
				.ee_len = (uint16_t)part,
				.ee_start = (uint32_t)e.physical,
				.ee_start_hi = (uint16_t)(e.physical >> 32),
			};
			e.logical += part;
			e.physical += part;
			e.count -= part;
		}
	}
	return 1;
}

static void put_device(const struct disk_inode *inode, struct ext2_inode_large *i)
{
	if (inode->major < 256 && inode->minor < 256)
		i->i_block[0] = inode->major << 8 | inode->minor;
	else
		i->i_block[1] = (inode->minor & 0xff) | inode->major << 8 | (inode->minor & ~0xffU) << 12;
}

static uint16_t link_count(const struct disk_inode *inode)
{
	if (inode->type != TAR_DIRECTORY)
		return (uint16_t)inode->links;
	return inode->subdirectories + 2 > DISK_LINKS_MAX ? 1 : (uint16_t)(inode->subdirectories + 2); /* dir_nlink */
}

/* Everything but extents that do not fit and attributes. Returns 0 when the extents are still to be
 * written. */
static int fill_inode(const struct disk_inode *inode, struct ext2_inode_large *i)
{
	static const uint16_t types[] = {
		[TAR_FILE] = S_IFREG,
		[TAR_SYMLINK] = S_IFLNK,
		[TAR_CHAR] = S_IFCHR,
		[TAR_BLOCK] = S_IFBLK,
		[TAR_DIRECTORY] = S_IFDIR,
		[TAR_FIFO] = S_IFIFO,
	};
	i->i_mode = (uint16_t)(types[inode->type] | inode->mode);
	i->i_uid = (uint16_t)inode->uid;
	i->osd2.linux2.l_i_uid_high = (uint16_t)(inode->uid >> 16);
	i->i_gid = (uint16_t)inode->gid;
	i->osd2.linux2.l_i_gid_high = (uint16_t)(inode->gid >> 16);
	i->i_links_count = link_count(inode);
	i->i_size = (uint32_t)inode->size;
	i->i_size_high = (uint32_t)(inode->size >> 32);
	i->i_extra_isize = sizeof *i - EXT2_GOOD_OLD_INODE_SIZE;
	put_times(inode, i);
	uint64_t sectors = count_blocks(inode) * (DISK_BLOCK / 512);
	i->i_blocks = (uint32_t)sectors;
	i->osd2.linux2.l_i_blocks_hi = (uint16_t)(sectors >> 32);
	if (inode->type == TAR_CHAR || inode->type == TAR_BLOCK) {
		put_device(inode, i);
		return 1;
	}
	if (inode->type == TAR_FIFO)
		return 1;
	if (inode->type == TAR_SYMLINK && inode->extent_count == 0) {
		memcpy(i->i_block, inode->target, (size_t)inode->size);
		return 1;
	}
	if (inode->indexed)
		i->i_flags |= EXT2_INDEX_FL;
	return put_extents(inode, i);
}

static errcode_t insert_extents(ext2_extent_handle_t handle, const struct disk_inode *inode)
{
	for (uint32_t n = 0; n < inode->extent_count; n++) {
		struct disk_extent e = inode->extents[n];
		while (e.count > 0) {
			uint32_t part = MIN(e.count, (uint32_t)EXTENT_BLOCKS_MAX);
			struct ext2fs_extent to = { .e_pblk = e.physical, .e_lblk = e.logical, .e_len = part };
			errcode_t code = ext2fs_extent_insert(handle, EXT2_EXTENT_INSERT_AFTER, &to);
			if (code == 0)
				code = ext2fs_extent_fix_parents(handle);
			if (code)
				return code;
			e.logical += part;
			e.physical += part;
			e.count -= part;
		}
	}
	return 0;
}

static int write_extents(struct disk_maker *m, const struct disk_inode *inode, struct error **err)
{
	ext2_extent_handle_t handle = NULL;
	errcode_t code = ext2fs_extent_open(m->fs, inode->number, &handle);
	if (code == 0)
		code = insert_extents(handle, inode);
	if (handle)
		ext2fs_extent_free(handle);
	return disk_ext2_error(code, err, "a file's extents");
}

static int write_xattrs(struct disk_maker *m, const struct disk_inode *inode, struct error **err)
{
	struct ext2_xattr_handle *handle = NULL;
	errcode_t code = ext2fs_xattrs_open(m->fs, inode->number, &handle);
	if (code == 0)
		code = ext2fs_xattrs_read(handle);
	for (size_t i = 0; code == 0 && i < inode->xattr_count; i++)
		code = ext2fs_xattr_set(handle, inode->xattrs[i].name, inode->xattrs[i].value, inode->xattrs[i].size);
	if (handle) {
		errcode_t closed = ext2fs_xattrs_close(&handle);
		code = code ? code : closed;
	}
	if (code == 0)
		return 0;
	AUTOFREE char *path = disk_tree_path(m->tree, inode);
	if (code == EXT2_ET_EA_NO_SPACE)
		return error_set(err, E2BIG,
		    "the extended attributes of \"%.200s\" do not fit into a disk (about 4000 bytes a file)", path);
	return error_set(err, EINVAL, "an extended attribute of \"%.200s\" cannot be stored: %s", path,
	    error_message(code));
}

int disk_inode_write(struct disk_maker *m, struct disk_inode *inode, struct error **err)
{
	union {
		struct ext2_inode_large inode;
		unsigned char bytes[DISK_INODE_SIZE];
	} buffer = { 0 };
	int complete = fill_inode(inode, &buffer.inode);
	errcode_t code =
	    ext2fs_write_inode_full(m->fs, inode->number, (struct ext2_inode *)&buffer.inode, sizeof buffer);
	if (code)
		return disk_ext2_error(code, err, "its inodes");
	int r = complete ? 0 : write_extents(m, inode, err);
	if (r == 0 && inode->xattr_count > 0)
		r = write_xattrs(m, inode, err);
	return r;
}
