/* SPDX-License-Identifier: Apache-2.0
 * The writer's hands. Every file is made by its own name in a directory that is open, never by a
 * path: the kernel follows nothing that a layer said. Directories' descriptors are kept in a ring,
 * as most entries lie beside the one before. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/trees/internal.h"
#include "oci/tar_overlay.h"

/* NAME_BYTES: what a file takes beside its content, about. */
enum { SPECIAL_BITS = 07000, SET_ID_BITS = 06000, NOBODY = 65534, NAME_BYTES = 4096 };

struct tree_folder *tree_folder_of(struct tree_writer *w, const struct disk_inode *directory)
{
	return &w->folders[directory->number];
}

void tree_folder_add(struct tree_writer *w, struct disk_inode *directory, struct disk_name *name)
{
	if ((w->folder_count & (w->folder_count - 1)) == 0)
		w->folders = xrealloc(w->folders, MAX(w->folder_count * 2, (size_t)1), sizeof *w->folders);
	directory->number = (uint32_t)w->folder_count;
	w->folders[w->folder_count++] = (struct tree_folder){ .name = name, .fd = -1 };
}

/* The root's place in the ring is its own: it is never in it. */
static void remember(struct tree_writer *w, uint32_t number, int fd)
{
	struct tree_folder *old = &w->folders[w->open[w->open_at]];
	if (w->open[w->open_at] != 0)
		fd_close(TAKE_FD(old->fd));
	w->open[w->open_at] = number;
	w->open_at = (w->open_at + 1) % TREE_OPEN_MAX;
	w->folders[number].fd = fd;
}

static int open_step(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tree_folder_open(struct tree_writer *w, const struct disk_inode *directory, struct error **err)
{
	struct tree_folder *f = tree_folder_of(w, directory);
	const struct disk_inode *above = directory;
	size_t depth = 0;
	if (f->fd >= 0)
		return f->fd;
	while (tree_folder_of(w, above)->fd < 0) {
		above = above->parent;
		depth++;
	}
	AUTOFREE const char **names = xcalloc(depth, sizeof *names);
	const struct disk_inode *at = directory;
	for (size_t i = depth; i > 0; i--, at = at->parent)
		names[i - 1] = tree_folder_of(w, at)->name->text;
	int fd = tree_folder_of(w, above)->fd;
	for (size_t i = 0; i < depth; i++) {
		int next = open_step(fd, names[i]);
		if (i > 0)
			fd_close(fd);
		if (next < 0)
			return error_set_errno(err, next, "cannot open its folder");
		fd = next;
	}
	remember(w, directory->number, fd);
	return fd;
}

void tree_folder_open_above(struct tree_writer *w, const struct disk_inode *directory)
{
	const struct tree_folder *f = tree_folder_of(w, directory);
	if (f->fd < 0 || tree_folder_of(w, directory->parent)->fd >= 0)
		return;
	int fd = open_step(f->fd, "..");
	if (fd >= 0)
		remember(w, directory->parent->number, fd);
}

int tree_make_folder(struct tree_writer *w, struct disk_inode *directory, const char *name, size_t length,
    struct disk_name **ret, struct error **err)
{
	int parent = tree_folder_open(w, directory, err);
	if (parent < 0)
		return parent;
	int r = reserve_take(&w->reserve, parent, NAME_BYTES, err);
	if (r < 0)
		return r;
	struct disk_inode *inode = disk_inode_new(&w->tree, TAR_DIRECTORY);
	*ret = disk_tree_add(&w->tree, directory, name, length, inode);
	(*ret)->layer = TREE_OWN;
	tree_folder_add(w, inode, *ret);
	/* No set-group-id bit and no default list of access yet, which files made inside would
	 * inherit. */
	return mkdirat(parent, (*ret)->text, 0700) < 0 ? error_set_errno(err, errno, "cannot make a folder") : 0;
}

static int chown_at(int fd, const char *name, uid_t uid, gid_t gid)
{
	int r = name ? fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) : fchown(fd, uid, gid);
	return r < 0 ? -errno : 0;
}

int tree_set_owner(struct tree_writer *w, int fd, const char *name, uint32_t uid, uint32_t gid, uint32_t *mode)
{
	if (uid == 0 && gid == 0)
		return 0;
	int r = chown_at(fd, name, uid, gid);
	if (r != -EINVAL && r != -EPERM)
		return r;
	/* Not all of them are ours to give (EINVAL: not in the mapping). A set-id bit must not come
	 * to mean somebody else. */
	int moved = 0;
	if (chown_at(fd, name, uid, (gid_t)-1) < 0)
		moved |= chown_at(fd, name, NOBODY, (gid_t)-1) == 0;
	if (chown_at(fd, name, (uid_t)-1, gid) < 0)
		moved |= chown_at(fd, name, (uid_t)-1, NOBODY) == 0;
	if (moved)
		*mode &= ~(uint32_t)SET_ID_BITS;
	w->options->strangers++;
	return 0;
}

/* Marks of overlays are stored as tar_overlay.h says, for overlayfs would take them for its own. */
char *tree_xattr_from_disk(int fd, const char *name)
{
	const char *escaped = startswith(name, OVERLAY_ESCAPED), *kept = startswith(name, OVERLAY_KEPT);
	if (kept)
		return overlay_mark(kept) ? xstrdup(kept) : NULL;
	/* Trees of older versions have the escape alone. */
	if (escaped)
		return overlay_is_kept(fd, escaped) ? NULL : xasprintf(OVERLAY_USERS "%s", escaped);
	return !disk_keep_xattr(name) || overlay_mark(name) ? NULL : xstrdup(name);
}

static int set_xattr(int fd, const struct tar_xattr *x)
{
	if (overlay_mark(x->name))
		return overlay_set_mark(fd, x->name, x->value, x->size);
	if (!disk_keep_xattr(x->name) || startswith(x->name, OVERLAY_KEPT))
		return 0;
	return fsetxattr(fd, x->name, x->value, x->size, 0) < 0 ? -errno : 0;
}

/* Sets extended attributes, except those that a user namespace may not set (trusted.*, other
 * labels) and those with ids that it does not map. */
int tree_set_xattrs(int fd, const struct tar_xattr *xattrs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = set_xattr(fd, &xattrs[i]);
		if (r < 0 && r != -EPERM && r != -EOPNOTSUPP && r != -EINVAL && r != -EACCES)
			return r;
	}
	return 0;
}

static int write_content(struct tree_writer *w, int fd, struct tar_reader *reader, uint64_t size, struct error **err)
{
	const void *data;
	size_t n;
	uint64_t offset;
	struct stat st;
	int r;
	while ((r = tar_reader_read(reader, &data, &n, &offset, err)) > 0)
		if ((r = reserve_take(&w->reserve, fd, n, err)) < 0 || (r = fd_write_sparse(fd, data, n, offset)) < 0)
			return r;
	if (r < 0 || size == 0)
		return r;
	/* Zeros at the end were left out. */
	return fstat(fd, &st) < 0 || ((uint64_t)st.st_size < size && ftruncate(fd, (off_t)size) < 0) ? -errno : 0;
}

static void times_of(const struct tar_entry *e, struct timespec ret[2])
{
	ret[0] = (struct timespec){ .tv_sec = (time_t)e->atime, .tv_nsec = e->atime_ns };
	ret[1] = (struct timespec){ .tv_sec = (time_t)e->mtime, .tv_nsec = e->mtime_ns };
}

/* Changing the owner takes special bits and capabilities away, and writing them too: so content,
 * owner, mode, attributes, times. */
static int make_regular(struct tree_writer *w, int parent, const char *name, const struct tar_entry *e,
    struct tar_reader *reader, struct error **err)
{
	struct timespec times[2];
	uint32_t mode = e->mode;
	AUTO_FD int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode & 0777);
	if (fd < 0)
		return -errno;
	int r;
	if ((r = write_content(w, fd, reader, e->size, err)) < 0 ||
	    (r = tree_set_owner(w, fd, NULL, e->uid, e->gid, &mode)) < 0)
		return r;
	if ((mode & SPECIAL_BITS) != 0 && fchmod(fd, mode) < 0)
		return -errno;
	r = tree_set_xattrs(fd, e->xattrs, e->xattr_count);
	if (r < 0)
		return r;
	times_of(e, times);
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int make_other(struct tree_writer *w, int parent, const char *name, const struct tar_entry *e)
{
	struct timespec times[2];
	uint32_t mode = e->mode;
	int r = e->type == TAR_SYMLINK ? symlinkat(e->target, parent, name) :
					 mknodat(parent, name, S_IFIFO | (mode & 0777), 0);
	if (r < 0)
		return -errno;
	r = tree_set_owner(w, parent, name, e->uid, e->gid, &mode);
	if (r == 0 && e->type != TAR_SYMLINK && (mode & SPECIAL_BITS) != 0 &&
	    fchmodat(parent, name, mode, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	times_of(e, times);
	return r == 0 && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : r;
}

/* A file that stands for a whiteout of overlayfs: the tree's own ones hide what is below. */
static int make_whiteout(struct tree_writer *w, int parent, const char *name, const struct tar_entry *e)
{
	struct timespec times[2];
	uint32_t mode = e->mode;
	AUTO_FD int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : overlay_set_whiteout(fd);
	if (r < 0 || (r = tree_set_owner(w, fd, NULL, e->uid, e->gid, &mode)) < 0)
		return r;
	times_of(e, times);
	return fchmod(fd, mode & 0777) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

int tree_make_file(struct tree_writer *w, int parent, const char *name, const struct tar_entry *e,
    struct tar_reader *reader, struct error **err)
{
	int r = reserve_take(&w->reserve, parent, NAME_BYTES, err);
	if (r == 0)
		r = e->type == TAR_FILE    ? make_regular(w, parent, name, e, reader, err) :
		    overlay_is_whiteout(e) ? make_whiteout(w, parent, name, e) :
					     make_other(w, parent, name, e);
	return r < 0 ? error_set_errno(err, r, "cannot write it") : 0;
}

/* Descriptors of what is below a folder that goes away. */
static void forget(struct tree_writer *w, struct disk_inode *directory)
{
	struct tree_folder *f = tree_folder_of(w, directory);
	fd_close(TAKE_FD(f->fd));
	f->name = NULL;
	for (struct disk_name *n = directory->first; n; n = n->after)
		if (n->inode->type == TAR_DIRECTORY)
			forget(w, n->inode);
}

static int remove_folder(int parent, const char *name)
{
	AUTO_FD int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : tree_empty(fd);
	return r < 0 ? r : unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int tree_remove(struct tree_writer *w, struct disk_name *name, struct error **err)
{
	int parent = tree_folder_open(w, name->directory, err), r = 0;
	if (parent < 0)
		return parent;
	if (name->inode->type == TAR_DIRECTORY) {
		forget(w, name->inode);
		r = remove_folder(parent, name->text);
	} else if (!tree_is_device(name->inode) && !tree_is_below(name) && unlinkat(parent, name->text, 0) < 0) {
		r = -errno;
	}
	if (w->lower_of) {
		tree_directory_done(&w->lower_directory);
		w->lower_of = NULL;
	}
	disk_tree_remove(&w->tree, name);
	return r < 0 ? error_set_errno(err, r, "cannot replace what was there") : 0;
}
