/* SPDX-License-Identifier: Apache-2.0
 * The walk: resolves the paths of a layer's entries in a tree and decides their effect, the same
 * for a disk (apply.c) and for a directory (image/trees/write.c), which only carry it out. */
#pragma once

#include "base/error.h"
#include "disk/tree.h"
#include "oci/tar.h"

struct disk_place {
	struct disk_inode *directory;
	char name[DISK_NAME_MAX + 1];
	size_t length;
};

/* All of it is borrowed. */
struct disk_walk {
	struct disk_tree *tree;
	const struct disk_walk_rules *rules;
	void *data; /* the rules' own */
};

/* All return 0 or -errno with a text. What they are given is valid during the call, what they
 * return belongs to the tree. */
struct disk_walk_rules {
	const char *whole; /* the tree's owner, for error texts: "image", "layer" */
	/* The name in a directory; *ret NULL: nothing is to be seen there. */
	int (*find)(const struct disk_walk *w, struct disk_inode *directory, const char *name, size_t length,
	    struct disk_name **ret, struct error **err);
	/* Makes a folder where `find` sees nothing; its mode and times are set by the walk. */
	int (*make_folder)(const struct disk_walk *w, struct disk_inode *directory, const char *name, size_t length,
	    struct disk_name **ret, struct error **err);
	/* An entry that is neither the root nor a whiteout. It takes the place of what is there;
	 * only a folder over a folder merges. */
	int (*put)(const struct disk_walk *w, const struct tar_entry *e, struct tar_reader *reader,
	    const struct disk_place *p, struct error **err);
	/* Whiteouts: take away what lower layers have at a place, and in a directory. */
	int (*hide)(const struct disk_walk *w, const struct disk_place *p, struct error **err);
	int (*hide_all)(const struct disk_walk *w, struct disk_inode *directory, struct error **err);
};

/* Goes through all entries of one layer (OCI image-spec 1.0, layer.md): 0 or -errno with a text
 * that names the entry. */
int disk_walk_layer(const struct disk_walk *w, struct tar_reader *reader, struct error **err);
/* The name that a hard link leads to, never a directory's: 0 or -errno with a text. */
int disk_walk_link_target(const struct disk_walk *w, const struct tar_entry *e, struct disk_name **ret,
    struct error **err);
