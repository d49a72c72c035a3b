/* SPDX-License-Identifier: Apache-2.0
 * A directory of the view is opened in every tree that has it, until a tree hides the rest.
 * Symlinks are followed by writing their target into the path and starting again at the root; ".."
 * goes lexically, as all that lies before it is known to be directories. */
#include "image/trees/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"

enum { STEPS_MAX = 200, TARGET_MAX = 4096, PATH_BYTES_MAX = 1 << 16 };

void tree_directory_done(struct tree_directory *d)
{
	for (size_t i = 0; i < d->count; i++)
		fd_close(d->fds[i]);
	free(d->fds);
	*d = (struct tree_directory){ 0 };
}

static int is_opaque(int fd)
{
	char value[2];
	return fgetxattr(fd, TREE_XATTR_OPAQUE, value, sizeof value) == 1 && value[0] == 'y';
}

/* Adds the directory `name` of one tree: 1 to go on with the trees below, 0 when this one hides
 * them, -errno. */
static int add(struct tree_directory *d, int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 1 : errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	d->fds[d->count++] = fd;
	return !is_opaque(fd);
}

static int merge(const int *at, size_t count, const char *name, struct tree_directory *ret)
{
	AUTO_TREE_DIRECTORY struct tree_directory d = { .fds = xcalloc(count + 1, sizeof *d.fds) };
	int r = 1;
	for (size_t i = 0; r > 0 && i < count; i++)
		r = add(&d, at[i], name);
	if (r < 0)
		return r;
	if (d.count == 0 && count > 0)
		return r == 0 ? -ENOTDIR : -ENOENT;
	*ret = d;
	d = (struct tree_directory){ 0 };
	return 0;
}

int tree_view_root(const struct tree_view *v, struct tree_directory *ret)
{
	return merge(v->trees, v->count, ".", ret);
}

int tree_view_enter(const struct tree_directory *d, const char *name, struct tree_directory *ret)
{
	return d->count == 0 ? -ENOENT : merge(d->fds, d->count, name, ret);
}

int tree_view_look(const struct tree_directory *d, const char *name, struct stat *ret, int *ret_parent)
{
	for (size_t i = 0; i < d->count; i++) {
		if (fstatat(d->fds[i], name, ret, AT_SYMLINK_NOFOLLOW) == 0) {
			*ret_parent = d->fds[i];
			return S_ISCHR(ret->st_mode) && ret->st_rdev == makedev(0, 0) ? -ENOENT : 0;
		}
		if (errno != ENOENT)
			return -errno;
	}
	return -ENOENT;
}

static void split(struct strv *parts, const char *path)
{
	AUTO_STRV struct strv all = { 0 };
	strv_split(&all, path, "/");
	for (size_t i = 0; i < all.count; i++)
		if (!streq(all.items[i], "."))
			strv_add(parts, all.items[i]);
}

/* The path with part `at` (which lies in a real directory) replaced by target; an absolute target
 * drops all in front. Owned. */
static char *replace(const struct strv *parts, size_t at, const char *target)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = target[0] == '/' ? at : 0; i < at; i++)
		strv_add(&all, parts->items[i]);
	strv_split(&all, target, "/");
	for (size_t i = at + 1; i < parts->count; i++)
		strv_add(&all, parts->items[i]);
	return strv_join(&all, "/");
}

/* The same with part `at`, which is "..", and the one in front of it taken out. */
static char *go_up(const struct strv *parts, size_t at)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < parts->count; i++)
		if (i != at && i + 1 != at)
			strv_add(&all, parts->items[i]);
	return strv_join(&all, "/");
}

/* One walk from the root: 0 and *ret, 1 and *path changed when it has to start again, -errno. */
static int walk(const struct tree_view *v, char **path, struct stat *ret)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTO_TREE_DIRECTORY struct tree_directory d = { 0 };
	char target[TARGET_MAX], *next = NULL;
	int parent, r = tree_view_root(v, &d);
	split(&parts, *path);
	for (size_t i = 0; r == 0 && !next && i < parts.count; i++) {
		const char *name = parts.items[i];
		if (streq(name, "..")) {
			next = go_up(&parts, i);
		} else if ((r = tree_view_look(&d, name, ret, &parent)) == 0 && S_ISLNK(ret->st_mode)) {
			ssize_t n = readlinkat(parent, name, target, sizeof target - 1);
			if (n < 0)
				return -errno;
			target[n] = '\0';
			next = replace(&parts, i, target);
		} else if (r == 0 && i + 1 < parts.count) {
			struct tree_directory inner;
			r = tree_view_enter(&d, name, &inner);
			if (r == 0) {
				tree_directory_done(&d);
				d = inner;
			}
		}
	}
	if (!next)
		return r;
	free(*path);
	*path = next;
	return 1;
}

static int resolve(const struct tree_view *v, const char *path, struct stat *ret)
{
	AUTOFREE char *at = xstrdup(path);
	for (int i = 0; i < STEPS_MAX && strlen(at) < PATH_BYTES_MAX; i++) {
		int r = walk(v, &at, ret);
		if (r <= 0)
			return r;
	}
	return -ELOOP;
}

int tree_view_find_program(const struct tree_view *v, const char *const *paths, const char **ret)
{
	struct stat st;
	for (; *paths; paths++) {
		st = (struct stat){ 0 };
		int r = resolve(v, *paths, &st);
		if (r == -EMFILE || r == -ENFILE || r == -EIO)
			return r;
		if (r == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0) {
			*ret = *paths;
			return 0;
		}
	}
	return -ENOENT;
}
