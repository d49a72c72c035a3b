/* SPDX-License-Identifier: Apache-2.0
 * The tree of a disk that is being written, in memory: what the layers so far add up to, without
 * the files' content, which is in the disk already. One hash table over all names makes every step
 * of a path one look-up, whatever the directory's size. */
#pragma once

#include <stdint.h>

#include "oci/tar.h"

struct disk_extent {
	uint64_t physical; /* blocks of 4096 bytes, as all here */
	uint32_t logical;
	uint32_t count;
};

struct disk_inode {
	enum tar_type type;
	uint32_t mode, uid, gid;
	uint32_t links;  /* names that lead here */
	uint32_t number; /* given at the end */
	uint32_t major, minor;
	int64_t mtime, atime, ctime;
	uint32_t mtime_ns, atime_ns, ctime_ns;
	struct tar_xattr *xattrs;
	size_t xattr_count;
	uint64_t size; /* of files and symlinks; of directories at the end */
	struct disk_extent *extents;
	uint32_t extent_count;
	char *target; /* of symlinks */
	/* Of directories: */
	struct disk_name *first, *last; /* in the order of their making */
	struct disk_inode *parent;
	uint32_t depth, subdirectories;
	int indexed; /* has a hash tree */
};

struct disk_name {
	struct disk_name *chain;          /* in the hash table */
	struct disk_name *before, *after; /* in the directory */
	struct disk_inode *directory, *inode;
	uint32_t layer; /* the last one that had an entry for this name */
	uint32_t hash;
	uint8_t length;
	char text[]; /* NUL-terminated */
};

struct disk_tree {
	struct disk_inode *root;
	int root_described; /* by an entry of a layer */
	struct disk_name **table;
	size_t table_size, names;
	size_t inodes;
	uint64_t bytes; /* of memory, roughly */
	uint64_t seed;
	/* Called before an inode that has content is freed, so that its blocks can be used
	 * again. */
	void (*release)(struct disk_inode *inode, void *data);
	void *data;
};

enum { DISK_DEPTH_MAX = 4096, DISK_LINKS_MAX = 65000, DISK_NAME_MAX = 255 };

void disk_tree_init(struct disk_tree *t);
void disk_tree_done(struct disk_tree *t);
struct disk_inode *disk_inode_new(struct disk_tree *t, enum tar_type type);
/* Sets an inode's times from an entry; disk_inode_describe() also sets mode, owner, device and
 * extended attributes (copied, without those that disk_keep_xattr() drops). */
void disk_inode_set_times(struct disk_inode *inode, const struct tar_entry *e);
void disk_inode_describe(struct disk_tree *t, struct disk_inode *inode, const struct tar_entry *e);
/* Attributes that a Linux file system has; others (macOS's, NFS's) are dropped, as nothing could
 * read them. */
int disk_keep_xattr(const char *name);
/* Frees an inode that no name leads to. */
void disk_inode_drop(struct disk_tree *t, struct disk_inode *inode);
struct disk_name *disk_tree_find(const struct disk_tree *t, const struct disk_inode *directory, const char *name,
    size_t length);
/* A new name (which must not be there yet) for an inode. */
struct disk_name *disk_tree_add(struct disk_tree *t, struct disk_inode *directory, const char *name, size_t length,
    struct disk_inode *inode);
/* Takes a name away, and with a directory everything below it. */
void disk_tree_remove(struct disk_tree *t, struct disk_name *name);
/* Takes away what layers before `layer` put below a directory; what this layer made stays, with the
 * directories that lead there. */
void disk_tree_remove_lower(struct disk_tree *t, struct disk_inode *directory, uint32_t layer);
/* The same for one name and all below it. */
void disk_tree_hide(struct disk_tree *t, struct disk_name *name, uint32_t layer);
/* One of the paths that lead to an inode, for error texts; owned. Slow. */
char *disk_tree_path(const struct disk_tree *t, const struct disk_inode *inode);
