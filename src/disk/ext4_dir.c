/* SPDX-License-Identifier: Apache-2.0
 * Directories as ext4 has them on disk (kernel: Documentation/filesystems/ext4/directory.rst).
 *
 * Theory of operation: one that fits into a block is that block. A larger one gets its hash tree at
 * once, as e2fsck -D would build it: names sorted by hash into leaf blocks that are filled to
 * LEAF_FILL (so that the first new name does not split one), a root with one entry a leaf, and
 * between them, past 507 leaves, one level of nodes. Hence looking a name up is quick however many
 * there are. A directory is built as one buffer and goes through the same path as a file's content.
 * Fields are written little-endian by the host being so.
 */
#include <assert.h>
#include <errno.h>

#include "base/alloc.h"
#include "disk/ext4_make.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "directories are built in the host's byte order");

enum {
	TAIL = sizeof(struct ext2_dir_entry_tail),
	ROOM = DISK_BLOCK - TAIL,
	LEAF_FILL = ROOM * 85 / 100,
	DOTS = 24,    /* "." and ".." */
	ROOT_AT = 32, /* the entries of a hash tree's root */
	NODE_AT = 8,
	DX_TAIL = 8,
	ROOT_LIMIT = (DISK_BLOCK - ROOT_AT - DX_TAIL) / 8,
	NODE_LIMIT = (DISK_BLOCK - NODE_AT - DX_TAIL) / 8,
};

struct item {
	uint32_t hash, minor;
	const struct disk_name *name;
};

struct leaf {
	size_t first, count;
	uint32_t hash;
};

struct builder {
	struct disk_maker *maker;
	struct disk_inode *directory;
	struct item *items;
	size_t count;
	struct leaf *leaves;
	size_t leaf_count, node_count;
	unsigned char *blocks;
	size_t block_count;
};

static size_t record_size(const struct disk_name *n)
{
	return (8 + (size_t)n->length + 3) & ~(size_t)3;
}

static size_t all_records(const struct disk_inode *directory)
{
	size_t size = DOTS;
	for (const struct disk_name *n = directory->first; n; n = n->after)
		size += record_size(n);
	return size;
}

uint64_t disk_directory_blocks_max(const struct disk_inode *directory)
{
	/* A leaf is full, except for the space of one record of at most 264 bytes. */
	uint64_t leaves = all_records(directory) / (LEAF_FILL - 264) + 1;
	return leaves + leaves / NODE_LIMIT + 2;
}

static int file_type(const struct disk_inode *inode)
{
	static const unsigned char types[] = {
		[TAR_FILE] = EXT2_FT_REG_FILE,
		[TAR_SYMLINK] = EXT2_FT_SYMLINK,
		[TAR_CHAR] = EXT2_FT_CHRDEV,
		[TAR_BLOCK] = EXT2_FT_BLKDEV,
		[TAR_DIRECTORY] = EXT2_FT_DIR,
		[TAR_FIFO] = EXT2_FT_FIFO,
	};
	return types[inode->type];
}

static void put_record(unsigned char *at, const struct disk_inode *inode, const char *text, size_t length, size_t size)
{
	struct ext2_dir_entry *e = (struct ext2_dir_entry *)at;
	e->inode = inode->number;
	e->rec_len = (uint16_t)size;
	e->name_len = (uint16_t)(length | (unsigned)file_type(inode) << 8);
	memcpy(e->name, text, length);
}

/* Fills a block with names from `at` on; the last record takes the room that is left. */
static void fill_block(struct builder *b, unsigned char *block, size_t at, const struct item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct disk_name *n = items[i].name;
		size_t size = i + 1 < count ? record_size(n) : ROOM - at;
		put_record(block + at, n->inode, n->text, n->length, size);
		at += size;
	}
	ext2fs_initialize_dirent_tail(b->maker->fs, (struct ext2_dir_entry_tail *)(block + ROOM));
}

static void put_dots(struct builder *b, unsigned char *block, size_t second)
{
	put_record(block, b->directory, ".", 1, 12);
	put_record(block + 12, b->directory->parent, "..", 2, second);
}

static int compare(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	size_t n = MIN(a->name->length, b->name->length);
	int r = memcmp(a->name->text, b->name->text, n);
	return r ? r : (int)a->name->length - (int)b->name->length;
}

static int sort_items(struct builder *b, struct error **err)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct disk_name *n = b->items[i].name;
		errcode_t code = ext2fs_dirhash(EXT2_HASH_HALF_MD4, n->text, n->length,
		    b->maker->fs->super->s_hash_seed, &b->items[i].hash, &b->items[i].minor);
		if (code)
			return disk_ext2_error(code, err, "the hash of a name");
	}
	qsort(b->items, b->count, sizeof *b->items, compare);
	return 0;
}

/* Deals the names out. A leaf that starts with the hash that the one before ends with says so in
 * the lowest bit. */
static void make_leaves(struct builder *b)
{
	size_t used = 0;
	b->leaves = xcalloc(b->count, sizeof *b->leaves);
	for (size_t i = 0; i < b->count; i++) {
		size_t size = record_size(b->items[i].name);
		if (i == 0 || used + size > LEAF_FILL) {
			uint32_t hash = b->items[i].hash;
			if (i > 0 && b->items[i - 1].hash == hash)
				hash |= 1;
			b->leaves[b->leaf_count++] = (struct leaf){ i, 0, i == 0 ? 0 : hash };
			used = 0;
		}
		b->leaves[b->leaf_count - 1].count++;
		used += size;
	}
}

/* `count` entries of a root or node at `at`: the first has limit and count in the place of its
 * hash. */
static void put_index(unsigned char *at, size_t limit, size_t count, const struct leaf *leaves, size_t step,
    uint32_t first_block)
{
	struct ext2_dx_entry *entries = (struct ext2_dx_entry *)at;
	for (size_t i = 0; i < count; i++)
		entries[i] =
		    (struct ext2_dx_entry){ .hash = leaves[i * step].hash, .block = first_block + (uint32_t)i };
	struct ext2_dx_countlimit *c = (struct ext2_dx_countlimit *)at;
	c->limit = (uint16_t)limit;
	c->count = (uint16_t)count;
}

static void put_root(struct builder *b)
{
	struct ext2_dx_root_info *info = (struct ext2_dx_root_info *)(b->blocks + DOTS);
	put_dots(b, b->blocks, DISK_BLOCK - 12);
	*info = (struct ext2_dx_root_info){
		.hash_version = EXT2_HASH_HALF_MD4,
		.info_length = 8,
		.indirect_levels = b->node_count > 0,
	};
	if (b->node_count > 0)
		put_index(b->blocks + ROOT_AT, ROOT_LIMIT, b->node_count, b->leaves, NODE_LIMIT, 1);
	else
		put_index(b->blocks + ROOT_AT, ROOT_LIMIT, b->leaf_count, b->leaves, 1, 1);
}

static int build_tree(struct builder *b, struct error **err)
{
	int r = sort_items(b, err);
	if (r < 0)
		return r;
	make_leaves(b);
	b->node_count = b->leaf_count > ROOT_LIMIT ? (b->leaf_count + NODE_LIMIT - 1) / NODE_LIMIT : 0;
	if (b->node_count > ROOT_LIMIT)
		return error_set(err, E2BIG, "a directory has %zu names, which is too many", b->count);
	b->block_count = 1 + b->node_count + b->leaf_count;
	b->blocks = xcalloc(b->block_count, DISK_BLOCK);
	put_root(b);
	for (size_t i = 0; i < b->node_count; i++) {
		unsigned char *node = b->blocks + (1 + i) * DISK_BLOCK;
		size_t first = i * NODE_LIMIT;
		((struct ext2_dir_entry *)node)->rec_len = DISK_BLOCK;
		put_index(node + NODE_AT, NODE_LIMIT, MIN((size_t)NODE_LIMIT, b->leaf_count - first), b->leaves + first,
		    1, (uint32_t)(1 + b->node_count + first));
	}
	for (size_t i = 0; i < b->leaf_count; i++)
		fill_block(b, b->blocks + (1 + b->node_count + i) * DISK_BLOCK, 0, b->items + b->leaves[i].first,
		    b->leaves[i].count);
	b->directory->indexed = 1;
	return 0;
}

static void build_block(struct builder *b)
{
	b->block_count = 1;
	b->blocks = xcalloc(1, DISK_BLOCK);
	put_dots(b, b->blocks, b->count > 0 ? 12 : ROOM - 12);
	fill_block(b, b->blocks, DOTS, b->items, b->count);
}

static int write_blocks(struct builder *b, struct error **err)
{
	struct disk_content content;
	for (size_t i = 0; i < b->block_count; i++) {
		errcode_t code = ext2fs_dir_block_csum_set(b->maker->fs, b->directory->number,
		    (struct ext2_dir_entry *)(b->blocks + i * DISK_BLOCK));
		if (code)
			return disk_ext2_error(code, err, "a directory's checksum");
	}
	b->directory->size = b->block_count * DISK_BLOCK;
	disk_content_start(&content, b->maker->space, b->directory, b->directory->size);
	int r = disk_content_add(&content, b->blocks, (size_t)b->directory->size, 0, err);
	if (r == 0)
		r = disk_content_finish(&content, err);
	if (r == 0)
		disk_mark_extents(b->maker, b->directory);
	return r;
}

int disk_directory_write(struct disk_maker *m, struct disk_inode *directory, struct error **err)
{
	struct builder b = { .maker = m, .directory = directory };
	for (const struct disk_name *n = directory->first; n; n = n->after)
		b.count++;
	b.items = xcalloc(b.count, sizeof *b.items);
	size_t i = 0;
	for (const struct disk_name *n = directory->first; n; n = n->after)
		b.items[i++].name = n;
	int r = 0;
	if (all_records(directory) <= ROOM)
		build_block(&b);
	else
		r = build_tree(&b, err);
	if (r == 0)
		r = write_blocks(&b, err);
	free(b.items);
	free(b.leaves);
	free(b.blocks);
	return r;
}
