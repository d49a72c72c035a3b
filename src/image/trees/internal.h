/* SPDX-License-Identifier: Apache-2.0
 * Shared by the parts of the tree writer: write.c (entries), lower.c (the layers below), files.c
 * (creating and removing files), finish.c (the end of a layer). */
#pragma once

#include "base/reserve.h"
#include "disk/tree.h"
#include "image/trees/write.h"

/* The names in memory are those of src/disk, with other meanings for two members:
 *   disk_name.layer     OWN: this layer has an entry for it; LOWER: it was taken over from below,
 *                       because the layer needs it. Folders then are in the layer's tree, other
 *                       files are not
 *   disk_inode.number   of directories: the index of their tree_folder; of devices: WHITEOUT or
 *                       SKIPPED, as none is ever made; of files: MARK, if it stands for a
 *                       whiteout of the image's own (oci/tar_overlay.h) */
enum { TREE_LOWER = 0, TREE_OWN = 1 };
enum { TREE_WHITEOUT = 1, TREE_SKIPPED = 2, TREE_MARK = 3 };
enum { TREE_OPEN_MAX = 192 };

struct tree_folder {
	struct disk_name *name; /* NULL: the root, or gone */
	int fd;                 /* -1: not open */
	int opaque;             /* nothing from below shows */
	int has_marks;          /* files in it stand for whiteouts */
};

struct tree_writer {
	struct tree_write *options;
	struct disk_tree tree;
	struct tree_folder *folders;
	size_t folder_count;
	uint32_t open[TREE_OPEN_MAX]; /* a ring of folders with a descriptor; the oldest goes first */
	size_t open_at;
	struct tree_view lower;
	int lower_known;
	struct tree_directory lower_directory; /* of lower_of; the last one asked for */
	const struct disk_inode *lower_of;
	struct reserve reserve;
};

static inline int tree_is_device(const struct disk_inode *i)
{
	return i->type == TAR_CHAR || i->type == TAR_BLOCK;
}

static inline int tree_is_below(const struct disk_name *n)
{
	return n->layer == TREE_LOWER && n->inode->type != TAR_DIRECTORY;
}

/* files.c. Descriptors of folders are borrowed; valid until TREE_OPEN_MAX others were asked for. */
int tree_folder_open(struct tree_writer *w, const struct disk_inode *directory, struct error **err);
/* Opens the folder that this one, open now, is in: one step where the way from the root may be
 * thousands. */
void tree_folder_open_above(struct tree_writer *w, const struct disk_inode *directory);
struct tree_folder *tree_folder_of(struct tree_writer *w, const struct disk_inode *directory);
void tree_folder_add(struct tree_writer *w, struct disk_inode *directory, struct disk_name *name);
/* Makes a folder that nobody but us can enter until the end. *ret: its inode, with no metadata. */
int tree_make_folder(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err);
/* Makes a file, fifo, symlink or what stands for a whiteout, with everything that belongs to it.
 * The name must be free. */
int tree_make_file(struct tree_writer *w, int parent, const char *name, const struct tar_entry *e,
    struct tar_reader *reader, struct error **err);
/* Takes a name away, in memory and on disk, and with a folder all that is in it. */
int tree_remove(struct tree_writer *w, struct disk_name *name, struct error **err);
/* Set the owner and the extended attributes of directories and files. Owners that are not mapped
 * are counted, and such a file loses its set-id bits. */
int tree_set_owner(struct tree_writer *w, int fd, const char *name, uint32_t uid, uint32_t gid, uint32_t *mode);
int tree_set_xattrs(int fd, const struct tar_xattr *xattrs, size_t count);
/* The name that an attribute of a tree's folder has in its image. Owned; NULL: it is left out. */
char *tree_xattr_from_disk(int fd, const char *name);

/* lower.c. */
/* Learns what is below, once; waits for it. */
int tree_need_lower(struct tree_writer *w, struct error **err);
/* Looks `name` of a directory up in the layers below. 1 and a borrowed descriptor of the directory
 * that has it, 0 for none, -errno. */
int tree_lower_look(struct tree_writer *w, const struct disk_inode *directory, const char *name, struct stat *ret,
    int *ret_parent, struct error **err);
/* Takes a name over from below: a folder with its metadata, a symlink's target, that there is a
 * file. *ret NULL: nothing is there. */
int tree_lower_take(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err);
/* The directory where the file of this name is, in the layer's tree or below; borrowed. */
int tree_open_parent(struct tree_writer *w, const struct disk_name *name, struct error **err);
/* Whether the folder, or one that it is in, hides all that is below. */
int tree_is_hidden(struct tree_writer *w, const struct disk_inode *directory);

/* finish.c: whiteouts, and the metadata of folders. */
int tree_finish(struct tree_writer *w, struct error **err);
