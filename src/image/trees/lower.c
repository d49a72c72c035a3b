/* SPDX-License-Identifier: Apache-2.0
 * The layers below. Directories that a layer does not describe keep their attributes from there,
 * hard links lead to files there, and symlinks there are followed. Directories are copied into the
 * layer's own tree. Of other files only the name is kept, in memory, so that each is looked up
 * once. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/trees/internal.h"
#include "oci/tar_overlay.h"

enum { XATTR_NAMES_MAX = 65536, XATTR_VALUE_MAX = 65536, TARGET_MAX = 4096 };

int tree_is_hidden(struct tree_writer *w, const struct disk_inode *directory)
{
	for (;; directory = directory->parent) {
		if (tree_folder_of(w, directory)->opaque)
			return 1;
		if (directory == w->tree.root)
			return 0;
	}
}

int tree_need_lower(struct tree_writer *w, struct error **err)
{
	int r = 0;
	w->options->needs_lower = 1;
	if (!w->lower_known && w->options->lower)
		r = w->options->lower(w->options->data, &w->lower, err);
	w->lower_known = r == 0;
	return r;
}

/* Finds a directory in the layers below: w->lower_directory, which is empty when there is none. 0
 * or -errno. */
static int find_directory(struct tree_writer *w, const struct disk_inode *directory, struct error **err)
{
	if (w->lower_of == directory)
		return 0;
	AUTO_TREE_DIRECTORY struct tree_directory d = { 0 };
	AUTOFREE const char **names = xcalloc(directory->depth + 1, sizeof *names);
	const struct disk_inode *at = directory;
	for (size_t i = directory->depth; i > 0; i--, at = at->parent)
		names[i - 1] = tree_folder_of(w, at)->name->text;
	int r = tree_view_root(&w->lower, &d);
	for (size_t i = 0; r == 0 && i < directory->depth; i++) {
		struct tree_directory inner;
		r = tree_view_enter(&d, names[i], &inner);
		tree_directory_done(&d);
		if (r == 0)
			d = inner;
	}
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return error_set_errno(err, r, "cannot look into the layers below");
	tree_directory_done(&w->lower_directory);
	w->lower_directory = d;
	w->lower_of = directory;
	d = (struct tree_directory){ 0 };
	return 0;
}

int tree_lower_look(struct tree_writer *w, const struct disk_inode *directory, const char *name, struct stat *ret,
    int *ret_parent, struct error **err)
{
	if (tree_is_hidden(w, directory))
		return 0;
	int r = tree_need_lower(w, err);
	if (r == 0)
		r = find_directory(w, directory, err);
	if (r < 0)
		return r;
	r = tree_view_look(&w->lower_directory, name, ret, ret_parent);
	if (r < 0 && r != -ENOENT)
		return error_set_errno(err, r, "cannot look into the layers below");
	return r == 0;
}

static void take_metadata(struct disk_inode *inode, const struct stat *st)
{
	inode->mode = st->st_mode & 07777;
	inode->uid = st->st_uid;
	inode->gid = st->st_gid;
	inode->mtime = st->st_mtim.tv_sec;
	inode->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	inode->atime = st->st_atim.tv_sec;
	inode->atime_ns = (uint32_t)st->st_atim.tv_nsec;
}

static int take_xattrs(struct tree_writer *w, struct disk_inode *inode, int fd)
{
	AUTOFREE char *names = xmalloc(XATTR_NAMES_MAX + 1), *value = xmalloc(XATTR_VALUE_MAX);
	ssize_t size = flistxattr(fd, names, XATTR_NAMES_MAX);
	if (size < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	names[size] = '\0';
	size_t count = 0;
	for (char *at = names; at < names + size; at += strlen(at) + 1)
		count++;
	inode->xattrs = xcalloc(count + 1, sizeof *inode->xattrs);
	for (char *at = names; at < names + size; at += strlen(at) + 1) {
		AUTOFREE char *name = tree_xattr_from_disk(fd, at);
		ssize_t n = name ? fgetxattr(fd, at, value, XATTR_VALUE_MAX) : -1;
		if (n < 0)
			continue;
		inode->xattrs[inode->xattr_count++] =
		    (struct tar_xattr){ TAKE_PTR(name), xmemdup(value, (size_t)n), (size_t)n };
		w->tree.bytes += sizeof(struct tar_xattr) + strlen(at) + (size_t)n;
	}
	return 0;
}

static int take_folder(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    const struct stat *st, int parent, struct disk_name **ret, struct error **err)
{
	AUTOFREE char *text = xstrndup(name, length);
	AUTO_FD int fd = openat(parent, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open its folder in the layers below");
	int r = tree_make_folder(w, directory, name, length, ret, err);
	if (r < 0)
		return r;
	(*ret)->layer = TREE_LOWER;
	take_metadata((*ret)->inode, st);
	tree_folder_of(w, (*ret)->inode)->has_marks = fgetxattr(fd, OVERLAY_KEPT_FOLDER, NULL, 0) >= 0;
	r = take_xattrs(w, (*ret)->inode, fd);
	return r < 0 ? error_set_errno(err, r, "cannot read its folder's attributes in the layers below") : 0;
}

static enum tar_type type_of(mode_t mode)
{
	return S_ISLNK(mode)  ? TAR_SYMLINK :
	       S_ISFIFO(mode) ? TAR_FIFO :
	       S_ISCHR(mode)  ? TAR_CHAR :
	       S_ISBLK(mode)  ? TAR_BLOCK :
				TAR_FILE;
}

static int take_file(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    const struct stat *st, int parent, struct disk_name **ret, struct error **err)
{
	char target[TARGET_MAX];
	AUTOFREE char *text = xstrndup(name, length);
	ssize_t n = S_ISLNK(st->st_mode) ? readlinkat(parent, text, target, sizeof target - 1) : 0;
	if (n < 0)
		return error_set_errno(err, errno, "cannot read \"%.200s\" of the layers below", text);
	struct disk_inode *inode = disk_inode_new(&w->tree, type_of(st->st_mode));
	if (inode->type == TAR_SYMLINK)
		inode->target = xstrndup(target, (size_t)n);
	*ret = disk_tree_add(&w->tree, directory, name, length, inode);
	(*ret)->layer = TREE_LOWER;
	return 0;
}

int tree_open_parent(struct tree_writer *w, const struct disk_name *name, struct error **err)
{
	struct stat st;
	int parent;
	if (!tree_is_below(name))
		return tree_folder_open(w, name->directory, err);
	int r = tree_lower_look(w, name->directory, name->text, &st, &parent, err);
	return r == 0 ? error_set(err, ENOENT, "\"%.200s\" is not in the layers below any more", name->text) :
	       r < 0  ? r :
			parent;
}

int tree_lower_take(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	AUTOFREE char *text = xstrndup(name, length);
	struct stat st;
	int parent = -1;
	*ret = NULL;
	int r = tree_lower_look(w, directory, text, &st, &parent, err);
	if (r <= 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return take_folder(w, directory, name, length, &st, parent, ret, err);
	return take_file(w, directory, name, length, &st, parent, ret, err);
}
