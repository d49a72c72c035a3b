/* SPDX-License-Identifier: Apache-2.0
 * The writer of a layer tree: the entries of a tar stream become a directory for overlayfs.
 *
 * Problem. A layer comes from a stranger. Its paths may lead through symlinks. Its whiteouts may
 * come before or after the entries that they hide. It may refer to files of layers below.
 *
 * Idea. The names of the layer's own tree are in memory as well (disk/tree.h), and paths are
 * looked up there, never by the kernel. It is the same walk as for a disk (disk/walk.c says what
 * entries mean).
 *
 * Steps:
 * 1. Files are written at once, each by one name in a directory that is open (files.c).
 * 2. A name that the layer does not have may be below (lower.c). Most layers never ask: they
 *    describe the directories that they write to. A layer that asks waits for the trees below and
 *    fits only those.
 * 3. At the end come the whiteouts, of which only those are made that hide something, and the
 *    metadata of directories (finish.c).
 *
 * Failures. Device nodes cannot be made in a user namespace: they are skipped and recorded. A
 * whiteout of the image's own is none of them (oci/tar_overlay.h). Files of owners that the mapping
 * does not have become nobody's, without set-id bits, and are counted. After an error the directory
 * is of no use, and the caller empties it. */
#include "image/trees/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "disk/walk.h"
#include "image/trees/internal.h"
#include "oci/tar_overlay.h"

enum { SYMLINK_MAX = 4095, SKIPPED_MAX = 1000 };
#define ROOT_TIME 1577836800 /* of a root that no entry describes, as on disks: 2020-01-01 */

static const char between[] = ".wh..wh.holm";

static int is_whiteout(const struct disk_name *n)
{
	return tree_is_device(n->inode) && n->inode->number == TREE_WHITEOUT;
}

/* The name in a directory, own or from below. A whiteout counts as none. */
static int find(const struct disk_walk *walk, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	*ret = disk_tree_find(walk->tree, directory, name, length);
	int r = *ret ? 0 : tree_lower_take(walk->data, directory, name, length, ret, err);
	if (r == 0 && *ret && is_whiteout(*ret))
		*ret = NULL;
	return r;
}

/* One in a whiteout's place is opaque. */
static int make_folder(const struct disk_walk *walk, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	struct tree_writer *w = walk->data;
	struct disk_name *hidden = disk_tree_find(&w->tree, directory, name, length);
	int r = hidden ? tree_remove(w, hidden, err) : 0;
	if (r == 0)
		r = tree_make_folder(w, directory, name, length, ret, err);
	if (r == 0 && hidden)
		tree_folder_of(w, (*ret)->inode)->opaque = 1;
	return r;
}

static void add_whiteout(struct tree_writer *w, const struct disk_place *p, uint32_t number)
{
	struct disk_inode *inode = disk_inode_new(&w->tree, TAR_CHAR);
	inode->number = number;
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
}

static void skip_device(struct tree_writer *w, const struct disk_place *p, const char *path)
{
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	if (w->options->skipped.count < SKIPPED_MAX)
		strv_add(&w->options->skipped, path);
	else
		w->options->skipped_more++;
	add_whiteout(w, p, TREE_SKIPPED);
}

/* A folder: merges with a folder, takes the place of anything else, and then nothing that is below
 * shows in it. */
static int apply_folder(struct tree_writer *w, const struct tar_entry *e, const struct disk_place *p,
    struct disk_name *old, struct error **err)
{
	int replaces = old && old->inode->type != TAR_DIRECTORY, r = 0;
	if (replaces) {
		r = tree_remove(w, old, err);
		old = NULL;
	}
	if (r == 0 && !old)
		r = tree_make_folder(w, p->directory, p->name, p->length, &old, err);
	if (r < 0)
		return r;
	if (replaces)
		tree_folder_of(w, old->inode)->opaque = 1;
	disk_inode_describe(&w->tree, old->inode, e);
	old->layer = TREE_OWN;
	return 0;
}

static int check_symlink(const struct tar_entry *e, struct error **err)
{
	size_t size = strlen(e->target);
	if (size == 0 || size > SYMLINK_MAX)
		return error_set(err, EINVAL, "its target has %zu bytes (1 to %d are possible)", size, SYMLINK_MAX);
	return 0;
}

static int apply_file(struct tree_writer *w, const struct tar_entry *e, struct tar_reader *reader,
    const struct disk_place *p, struct error **err)
{
	int r = e->type == TAR_SYMLINK ? check_symlink(e, err) : 0;
	int parent = r == 0 ? tree_folder_open(w, p->directory, err) : r;
	if (parent < 0)
		return parent;
	r = tree_make_file(w, parent, p->name, e, reader, err);
	if (r < 0)
		return r;
	int stands = overlay_is_whiteout(e);
	struct disk_inode *inode = disk_inode_new(&w->tree, stands ? TAR_FILE : e->type);
	if (stands) {
		inode->number = TREE_MARK;
		tree_folder_of(w, p->directory)->has_marks = 1;
	}
	if (e->type == TAR_SYMLINK) {
		inode->target = xstrdup(e->target);
		w->tree.bytes += strlen(e->target);
	}
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
	return 0;
}

/* The old name may be a folder that the target is in: the link is made beside it first, by a name
 * that no layer can have. A file below gets another name in this tree: trees are never written to
 * again, so one inode can be in several, and is one file in the machine too. */
static int apply_link(const struct disk_walk *walk, const struct tar_entry *e, const struct disk_place *p,
    struct error **err)
{
	struct tree_writer *w = walk->data;
	struct disk_name *target;
	int r = disk_walk_link_target(walk, e, &target, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = target->inode;
	struct disk_name *old = disk_tree_find(&w->tree, p->directory, p->name, p->length);
	if (old && old->inode == inode && !tree_is_below(old))
		return 0;
	if (tree_is_device(inode)) {
		r = old ? tree_remove(w, old, err) : 0;
		if (r == 0)
			skip_device(w, p, e->path);
		return r;
	}
	int from = tree_open_parent(w, target, err), to = from < 0 ? from : tree_folder_open(w, p->directory, err);
	if (to < 0)
		return to;
	if (linkat(from, target->text, to, old ? between : p->name, 0) < 0)
		return error_set_errno(err, errno, "cannot link to \"%.200s\"", e->target);
	inode->links++; /* kept while the old name goes */
	r = old ? tree_remove(w, old, err) : 0;
	if (r == 0 && old && renameat(to, between, to, p->name) < 0)
		r = error_set_errno(err, errno, "cannot link to \"%.200s\"", e->target);
	disk_tree_add(&w->tree, p->directory, p->name, p->length, inode)->layer = TREE_OWN;
	if (inode->type == TAR_FILE && inode->number == TREE_MARK)
		tree_folder_of(w, p->directory)->has_marks = 1;
	inode->links--;
	return r;
}

/* Removes copies from the layers below. A directory stays while it has a file of the layer's
 * own. */
static int hide_inside(struct tree_writer *w, struct disk_inode *directory, struct error **err)
{
	int r = 0;
	for (struct disk_name *n = directory->first, *next; r == 0 && n; n = next) {
		next = n->after;
		if (n->inode->type == TAR_DIRECTORY)
			r = hide_inside(w, n->inode, err);
		if (r == 0 && n->layer == TREE_LOWER && !n->inode->first)
			r = tree_remove(w, n, err);
	}
	return r;
}

static int hide_all(const struct disk_walk *walk, struct disk_inode *directory, struct error **err)
{
	struct tree_writer *w = walk->data;
	tree_folder_of(w, directory)->opaque = 1;
	return hide_inside(w, directory, err);
}

static int hide(const struct disk_walk *walk, const struct disk_place *p, struct error **err)
{
	struct tree_writer *w = walk->data;
	struct disk_name *n = disk_tree_find(&w->tree, p->directory, p->name, p->length);
	int r = n && n->inode->type == TAR_DIRECTORY ? hide_all(walk, n->inode, err) : 0;
	if (r < 0 || (n && (n->layer == TREE_OWN || n->inode->first)))
		return r;
	r = n ? tree_remove(w, n, err) : 0;
	if (r == 0)
		add_whiteout(w, p, TREE_WHITEOUT);
	return r;
}

static int put(const struct disk_walk *walk, const struct tar_entry *e, struct tar_reader *reader,
    const struct disk_place *p, struct error **err)
{
	struct tree_writer *w = walk->data;
	if (e->type == TAR_LINK)
		return apply_link(walk, e, p, err);
	struct disk_name *old = disk_tree_find(&w->tree, p->directory, p->name, p->length);
	if (e->type == TAR_DIRECTORY)
		return apply_folder(w, e, p, old, err);
	int r = old ? tree_remove(w, old, err) : 0;
	if (r == 0 && (e->type == TAR_CHAR || e->type == TAR_BLOCK) && !overlay_is_whiteout(e))
		skip_device(w, p, e->path);
	else if (r == 0)
		r = apply_file(w, e, reader, p, err);
	return r;
}

static const struct disk_walk_rules rules = { "layer", find, make_folder, put, hide, hide_all };

int tree_write_layer(struct tree_write *t, struct tar_reader *reader, struct error **err)
{
	struct tree_writer w = { .options = t };
	const struct disk_walk walk = { .tree = &w.tree, .rules = &rules, .data = &w };
	disk_tree_init(&w.tree);
	w.tree.root->mtime = w.tree.root->atime = ROOT_TIME;
	tree_folder_add(&w, w.tree.root, NULL);
	w.folders[0].fd = openat(t->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = w.folders[0].fd < 0 ? error_set_errno(err, errno, "cannot open the layer's tree") : 0;
	if (r == 0 && fchown(w.folders[0].fd, 0, 0) < 0 && errno != EPERM)
		r = error_set_errno(err, errno, "cannot own the layer's tree");
	if (r == 0)
		r = disk_walk_layer(&walk, reader, err);
	if (r == 0)
		r = tree_finish(&w, err);
	for (size_t i = 0; i < w.folder_count; i++)
		fd_close(w.folders[i].fd);
	free(w.folders);
	tree_directory_done(&w.lower_directory);
	disk_tree_done(&w.tree);
	return r;
}

void tree_write_done(struct tree_write *t)
{
	strv_done(&t->skipped);
}
