/* SPDX-License-Identifier: Apache-2.0
 * Goes down by descriptors, and opens no symlink. A file with several names is copied at the first
 * one; its other names become links to that copy. */
#include "base/tree_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <search.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

/* Each level holds three descriptors open. */
enum { DEPTH_MAX = 1000, NAMES_MAX = 64 * 1024, VALUE_MAX = 64 * 1024, SPARE_FDS = 64 };

/* A file with several names, by the path of its copy. */
struct known {
	dev_t device;
	ino_t inode;
	char *path;
};

struct copying {
	int root; /* the top of the copy */
	void *known;
	char path[PATH_MAX]; /* of the entry, relative to the top; for errors and links */
	size_t path_size;
	char *names, *value; /* of attributes */
};

static int compare(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void known_free(void *node)
{
	struct known *k = node;
	free(k->path);
	free(k);
}

/* ---- one file ---- */

static int copy_attributes(const struct copying *c, int from, int to)
{
	ssize_t size = flistxattr(from, c->names, NAMES_MAX - 1);
	if (size < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	c->names[size] = '\0';
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(c->names + at) + 1) {
		ssize_t n = fgetxattr(from, c->names + at, c->value, VALUE_MAX);
		/* One that the caller may not set belongs to the host, such as a label. */
		if (n < 0 || (fsetxattr(to, c->names + at, c->value, (size_t)n, 0) < 0 && errno != EPERM &&
				 errno != EOPNOTSUPP && errno != EACCES))
			return -errno;
	}
	return 0;
}

static int copy_status(const struct copying *c, int from, int to, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	int r = copy_attributes(c, from, to);
	return r < 0 ? r : futimens(to, times) < 0 ? -errno : 0;
}

/* Copies the data between the holes. */
static int copy_pieces(int from, int to, off_t size)
{
	for (off_t at = 0; at < size;) {
		off_t data = lseek(from, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO) /* the rest is a hole */
			break;
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (data < 0 || hole < 0) { /* a file system without holes */
			data = at;
			hole = size;
		}
		if (lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
			return -errno;
		int64_t n = fd_copy(from, to, (uint64_t)(hole - data));
		if (n < 0)
			return (int)n;
		at = hole;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_data(int from, int to, off_t size)
{
	return size == 0 || ioctl(to, FICLONE, from) == 0 ? 0 : copy_pieces(from, to, size);
}

static int copy_file(const struct copying *c, int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int out = in < 0 ? -1 : openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	int r = copy_data(in, out, st->st_size);
	return r < 0 ? r : copy_status(c, in, out, st);
}

/* Links to the copy of the same file. 1; 0: there is none yet; -errno. */
static int link_known(const struct copying *c, int to, const char *name, const struct stat *st)
{
	const struct known wanted = { .device = st->st_dev, .inode = st->st_ino };
	struct known **found = st->st_nlink > 1 ? tfind(&wanted, &c->known, compare) : NULL;
	if (!found)
		return 0;
	return linkat(c->root, (*found)->path, to, name, 0) < 0 ? -errno : 1;
}

static void remember(struct copying *c, const struct stat *st)
{
	struct known *k = xnew(struct known);
	*k = (struct known){ st->st_dev, st->st_ino, xstrdup(c->path) };
	tsearch(k, &c->known, compare);
}

static int set_status(int to, const char *name, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int tree_copy_link(int from, int to, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(from, name, target, sizeof target - 1);
	if (size < 0)
		return -errno;
	target[size] = '\0';
	return symlinkat(target, to, name) < 0 ? -errno : set_status(to, name, st);
}

/* It has its mode from birth: by its name a mode is set through symlinks. */
static int copy_special(int to, const char *name, const struct stat *st)
{
	mode_t mask = umask(0);
	int made = mknodat(to, name, st->st_mode, st->st_rdev), r = made < 0 ? -errno : 0;
	umask(mask);
	return r < 0 ? r : set_status(to, name, st);
}

/* ---- trees ---- */

static int copy_children(struct copying *c, int from, int to, int depth);

static int copy_directory(struct copying *c, int from, int to, const char *name, int depth)
{
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || mkdirat(to, name, 0700) < 0)
		return -errno;
	AUTO_FD int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return out < 0 ? -errno : copy_children(c, in, out, depth + 1);
}

static int copy_entry(struct copying *c, int from, int to, const char *name, int depth)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return copy_directory(c, from, to, name, depth);
	int r = link_known(c, to, name, &st);
	if (r != 0)
		return r < 0 ? r : 0;
	r = S_ISREG(st.st_mode) ? copy_file(c, from, to, name, &st) :
	    S_ISLNK(st.st_mode) ? tree_copy_link(from, to, name, &st) :
				  copy_special(to, name, &st);
	if (r == 0 && st.st_nlink > 1)
		remember(c, &st);
	return r;
}

/* Copies an entry with its name at the end of the path. A failure leaves the path there. */
static int copy_named(struct copying *c, int from, int to, const char *name, int depth)
{
	size_t before = c->path_size, size = strlen(name);
	if (before + size + 2 > sizeof c->path)
		return -ENAMETOOLONG;
	if (before)
		c->path[c->path_size++] = '/';
	memcpy(c->path + c->path_size, name, size + 1);
	c->path_size += size;
	int r = copy_entry(c, from, to, name, depth);
	if (r == 0) {
		c->path_size = before;
		c->path[before] = '\0';
	}
	return r;
}

static int copy_children(struct copying *c, int from, int to, int depth)
{
	struct stat st;
	DIR *d = fstat(from, &st) < 0 ? NULL : path_list(from);
	if (!d)
		return -errno;
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = copy_named(c, from, to, e->d_name, depth);
	closedir(d);
	return r < 0 ? r : copy_status(c, from, to, &st);
}

static void raise_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 3 * DEPTH_MAX + SPARE_FDS) {
		files.rlim_cur = MIN(files.rlim_max, (rlim_t)(3 * DEPTH_MAX + SPARE_FDS));
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int tree_copy(int from, int to, struct error **err)
{
	AUTOFREE struct copying *c = xnew(struct copying);
	c->root = to;
	c->names = xcalloc(NAMES_MAX, 1);
	c->value = xcalloc(VALUE_MAX, 1);
	raise_limit();
	int r = copy_children(c, from, to, 0);
	if (r < 0)
		error_set(err, -r, "%s: %s", c->path_size ? c->path : ".", strerror(-r));
	tdestroy(c->known, known_free);
	free(c->names);
	free(c->value);
	return r;
}
