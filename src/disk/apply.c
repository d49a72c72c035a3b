/* SPDX-License-Identifier: Apache-2.0
 * A layer's entries (walk.c says what they mean) put into a disk: their content into its blocks,
 * all else into the tree. */
#include "disk/apply.h"

#include <errno.h>

#include "base/alloc.h"
#include "disk/walk.h"

enum { SYMLINK_MAX = 4095 };

static int find(const struct disk_walk *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	*ret = disk_tree_find(w->tree, directory, name, length);
	return 0;
}

static int make_folder(const struct disk_walk *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	const struct disk_apply *a = w->data;
	*ret = disk_tree_add(w->tree, directory, name, length, disk_inode_new(w->tree, TAR_DIRECTORY));
	(*ret)->layer = a->layer;
	return 0;
}

static int add_content(struct disk_apply *a, struct disk_inode *inode, struct tar_reader *reader, struct error **err)
{
	struct disk_content content;
	const void *data;
	size_t size;
	uint64_t offset;
	int r;
	disk_content_start(&content, a->space, inode, inode->size);
	while ((r = tar_reader_read(reader, &data, &size, &offset, err)) > 0)
		if ((r = disk_content_add(&content, data, size, offset, err)) < 0)
			break;
	int finished = disk_content_finish(&content, r < 0 ? NULL : err);
	return r < 0 ? r : finished;
}

/* A symlink's target is in the inode, or from 60 bytes on in a block of its own. */
static int add_target(struct disk_apply *a, struct disk_inode *inode, const char *target, struct error **err)
{
	struct disk_content content;
	inode->size = strlen(target);
	if (inode->size == 0 || inode->size > SYMLINK_MAX)
		return error_set(err, EINVAL, "its target has %llu bytes (1 to %d are possible)",
		    (unsigned long long)inode->size, SYMLINK_MAX);
	inode->target = xstrdup(target);
	a->tree->bytes += inode->size;
	if (inode->size < 60)
		return 0;
	disk_content_start(&content, a->space, inode, inode->size);
	int r = disk_content_add(&content, target, (size_t)inode->size, 0, err);
	int finished = disk_content_finish(&content, r < 0 ? NULL : err);
	return r < 0 ? r : finished;
}

static int check_entry(const struct tar_entry *e, struct error **err)
{
	if (e->size / DISK_BLOCK >= DISK_FILE_BLOCKS_MAX)
		return error_set(err, EFBIG, "it is larger than 16 TiB");
	if (e->major > 0xfff || e->minor > 0xfffff)
		return error_set(err, EINVAL, "there is no device %u:%u", e->major, e->minor);
	return 0;
}

/* A new inode of the entry's, with its content. */
static int make_inode(struct disk_apply *a, const struct tar_entry *e, struct tar_reader *reader,
    struct disk_inode **ret, struct error **err)
{
	int r = check_entry(e, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = disk_inode_new(a->tree, e->type);
	disk_inode_describe(a->tree, inode, e);
	inode->size = e->size;
	if (e->type == TAR_FILE)
		r = add_content(a, inode, reader, err);
	else if (e->type == TAR_SYMLINK)
		r = add_target(a, inode, e->target, err);
	if (r < 0) {
		disk_inode_drop(a->tree, inode);
		return r;
	}
	*ret = inode;
	return 0;
}

/* A hard link's inode, which can get one more name. */
static int find_target(const struct disk_walk *w, const struct tar_entry *e, struct disk_inode **ret,
    struct error **err)
{
	struct disk_name *n;
	int r = disk_walk_link_target(w, e, &n, err);
	if (r < 0)
		return r;
	if (n->inode->links >= DISK_LINKS_MAX)
		return error_set(err, EMLINK, "the file \"%.200s\" has more than %d names", e->target, DISK_LINKS_MAX);
	*ret = n->inode;
	return 0;
}

/* Puts the inode (which carries one link for the time being) under the name, in the place of what
 * is there. */
static void put_name(struct disk_apply *a, const struct disk_place *p, struct disk_name *old, struct disk_inode *inode)
{
	if (old && old->inode == inode) {
		old->layer = a->layer;
	} else {
		if (old)
			disk_tree_remove(a->tree, old);
		disk_tree_add(a->tree, p->directory, p->name, p->length, inode)->layer = a->layer;
	}
	inode->links--;
}

static int put(const struct disk_walk *w, const struct tar_entry *e, struct tar_reader *reader,
    const struct disk_place *p, struct error **err)
{
	struct disk_apply *a = w->data;
	struct disk_name *old = disk_tree_find(a->tree, p->directory, p->name, p->length);
	if (e->type == TAR_DIRECTORY && old && old->inode->type == TAR_DIRECTORY) {
		disk_inode_describe(a->tree, old->inode, e);
		old->layer = a->layer;
		return 0;
	}
	struct disk_inode *inode = NULL;
	int r = e->type == TAR_LINK ? find_target(w, e, &inode, err) : make_inode(a, e, reader, &inode, err);
	if (r < 0)
		return r;
	inode->links++;
	put_name(a, p, old, inode);
	return 0;
}

static int hide(const struct disk_walk *w, const struct disk_place *p, struct error **err)
{
	const struct disk_apply *a = w->data;
	struct disk_name *n = disk_tree_find(w->tree, p->directory, p->name, p->length);
	if (n)
		disk_tree_hide(w->tree, n, a->layer);
	return 0;
}

static int hide_all(const struct disk_walk *w, struct disk_inode *directory, struct error **err)
{
	const struct disk_apply *a = w->data;
	disk_tree_remove_lower(w->tree, directory, a->layer);
	return 0;
}

static const struct disk_walk_rules rules = { "image", find, make_folder, put, hide, hide_all };

int disk_apply_layer(struct disk_apply *a, struct tar_reader *reader, struct error **err)
{
	const struct disk_walk w = { .tree = a->tree, .rules = &rules, .data = a };
	return disk_walk_layer(&w, reader, err);
}
