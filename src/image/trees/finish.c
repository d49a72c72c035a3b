/* SPDX-License-Identifier: Apache-2.0
 * The end of a layer. A whiteout is made only if the layers below have the name: overlayfs shows
 * others as names without files where a directory is in one tree only. A directory gets its mode
 * and time after its last file: a new file would change the time, and the mode may make it
 * unsearchable. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "image/trees/internal.h"
#include "oci/layer.h"
#include "oci/tar_overlay.h"

static int make_whiteout(struct tree_writer *w, const struct disk_name *n, struct error **err)
{
	struct stat st;
	int parent, r = tree_lower_look(w, n->directory, n->text, &st, &parent, err);
	if (r <= 0)
		return r;
	parent = tree_folder_open(w, n->directory, err);
	if (parent < 0)
		return parent;
	return mknodat(parent, n->text, S_IFCHR, makedev(0, 0)) < 0 ?
		   error_set_errno(err, errno, "cannot make a whiteout for \"%.200s\"", n->text) :
		   0;
}

static int finish_folder(struct tree_writer *w, struct disk_inode *d, struct error **err)
{
	struct timespec times[2] = { { .tv_sec = (time_t)d->atime, .tv_nsec = d->atime_ns },
		{ .tv_sec = (time_t)d->mtime, .tv_nsec = d->mtime_ns } };
	int fd = tree_folder_open(w, d, err);
	if (fd < 0)
		return fd;
	const struct tree_folder *f = tree_folder_of(w, d);
	int r = tree_set_owner(w, fd, NULL, d->uid, d->gid, &d->mode);
	/* Before the mode: where we are not root, it may take the right to do this away. */
	if (r == 0 && f->opaque && fsetxattr(fd, TREE_XATTR_OPAQUE, "y", 1, 0) < 0)
		return error_set_errno(err, errno,
		    "cannot set extended attributes, which native machines need of the file system that holds the "
		    "images");
	if (r == 0)
		r = tree_set_xattrs(fd, d->xattrs, d->xattr_count);
	if (r == 0 && f->has_marks)
		r = overlay_set_folder(fd);
	if (r == 0)
		r = fchmod(fd, d->mode) < 0 || futimens(fd, times) < 0 ? -errno : 0;
	return r < 0 ? error_set_errno(err, r, "cannot finish the folder \"%.200s\"", f->name ? f->name->text : "/") :
		       0;
}

static int finish_below(struct tree_writer *w, struct disk_inode *d, struct error **err)
{
	int r = 0;
	for (struct disk_name *n = d->first; r == 0 && n; n = n->after) {
		if (n->inode->type == TAR_DIRECTORY)
			r = finish_below(w, n->inode, err);
		else if (tree_is_device(n->inode))
			r = make_whiteout(w, n, err);
	}
	r = r < 0 ? r : finish_folder(w, d, err);
	tree_folder_open_above(w, d);
	return r;
}

/* Marks a tree whose layer describes "/". A machine's root has mode and owner of the topmost. */
static int mark_root(struct tree_writer *w, struct error **err)
{
	int fd = w->tree.root_described ? tree_folder_open(w, w->tree.root, err) : -1;
	if (fd < 0)
		return w->tree.root_described ? fd : 0;
	if (fsetxattr(fd, LAYER_XATTR_ROOT, "y", 1, 0) < 0 && errno != EOPNOTSUPP)
		return error_set_errno(err, errno, "cannot mark the layer's tree");
	return 0;
}

int tree_finish(struct tree_writer *w, struct error **err)
{
	int r = mark_root(w, err);
	return r < 0 ? r : finish_below(w, w->tree.root, err);
}
