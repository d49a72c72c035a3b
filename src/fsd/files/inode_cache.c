/* SPDX-License-Identifier: Apache-2.0
 * Descriptors of records. The server keeps them for
 *  - the root;
 *  - directories, as a cache of max_fds. Between two requests the least recently used ones are
 *    closed. A closed one is reopened from the nearest ancestor that has a descriptor, and each
 *    step is checked (inode_moved.c). A descriptor follows its directory when the host moves it. So
 *    each directory that the guest looks up gets one, and keeps it when a new worker takes over;
 *  - files whose last known name the guest has removed while it still uses them. No other way leads
 *    to them, and while one is open the host cannot reuse its inode number. Their limit is max_fds
 *    too; a file beyond it goes stale. */
#include "fsd/files/inode_internal.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "fsd/files/handle.h"
#include "fsd/files/shared.h"

static void lru_remove(struct inode_table *t, struct inode *i)
{
	*(i->older ? &i->older->newer : &t->oldest) = i->newer;
	*(i->newer ? &i->newer->older : &t->newest) = i->older;
	i->older = i->newer = NULL;
}

static void lru_add(struct inode_table *t, struct inode *i)
{
	i->older = t->newest;
	i->newer = NULL;
	*(t->newest ? &t->newest->newer : &t->oldest) = i;
	t->newest = i;
}

int inode_is_nameless(const struct inode_table *t, const struct inode *i)
{
	return i != t->root && !i->place;
}

void inode_cache_fd(struct inode_table *t, struct inode *i, int fd)
{
	i->fd = fd;
	t->cached_fds++;
	lru_add(t, i);
}

void inode_drop_fd(struct inode_table *t, struct inode *i)
{
	if (i->fd < 0)
		return;
	if (inode_is_nameless(t, i))
		t->nameless_fds--;
	else if (i != t->root) {
		lru_remove(t, i);
		t->cached_fds--;
	}
	int fd = i->fd;
	SHARED_SET(i->fd, -1); /* first, so that the record never holds the number of another file */
	fd_close(fd);
}

void inode_hold_directory(struct inode_table *t, struct inode *i, int is_likely)
{
	if (i->type != S_IFDIR)
		return;
	int is_cheap = t->cached_fds < t->max_fds / 2 && i->parent && i->parent->id.dev == i->id.dev;
	if (is_likely || is_cheap)
		(void)inode_directory_fd(t, i);
}

void inode_table_trim(struct inode_table *t)
{
	while (t->cached_fds > t->max_fds)
		inode_drop_fd(t, t->oldest);
	(void)pins_trim(&t->pins);
}

int inode_check(const struct inode *i, const struct statx *st)
{
	struct file_id id = file_id_of(st);
	return file_id_same(&id, &i->id) && i->type == (st->stx_mode & S_IFMT) ? 0 : -ESTALE;
}

int inode_check_fd(const struct inode *i, int fd)
{
	struct statx st;
	int r = inode_statx(fd, "", &st);
	return r < 0 ? r : inode_check(i, &st);
}

/* Opens a directory in its parent `fd`, by its last known name or the one that it has now. A
 * descriptor, -ESTALE or -errno. */
static int open_step(struct inode_table *t, int fd, struct inode *i)
{
	AUTO_FD int opened = inode_open_name(fd, inode_name(i), O_PATH | O_DIRECTORY, 0);
	int r = opened < 0 ? opened : inode_check_fd(i, opened);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ESTALE)
		return inode_find_moved(t, fd, i);
	return r < 0 ? r : TAKE_FD(opened);
}

int inode_directory_fd(struct inode_table *t, struct inode *i)
{
	if (i->type != S_IFDIR)
		return -ENOTDIR;
	if (i->fd >= 0) {
		if (i != t->root && i->place) {
			lru_remove(t, i);
			lru_add(t, i);
		}
		return i->fd;
	}
	struct inode *way[INODE_DEPTH_MAX];
	unsigned depth = 0;
	struct inode *from = i;
	for (; from && from->fd < 0; from = from->parent) {
		if (depth == INODE_DEPTH_MAX)
			return -ESTALE;
		way[depth++] = from;
	}
	if (!from)
		return -ESTALE;
	AUTO_FD int owned = -1;
	for (int fd = from->fd; depth > 0; fd = owned) {
		struct inode *next = way[--depth];
		int opened = open_step(t, fd, next);
		fd_close(TAKE_FD(owned));
		if (opened < 0)
			return opened;
		owned = opened;
	}
	inode_cache_fd(t, i, TAKE_FD(owned));
	return i->fd;
}

void inode_hold(struct inode_table *t, struct inode *i, int fd)
{
	if (i->fd >= 0)
		fd_close(fd);
	else if (i->type == S_IFDIR && i->place)
		inode_cache_fd(t, i, fd);
	else
		pins_add(&t->pins, i->nodeid, fd);
}

int inode_path_fd(struct inode_table *t, struct inode *i, int *ret_owned)
{
	*ret_owned = -1;
	if (i->fd >= 0)
		return i->fd;
	if (i->type == S_IFDIR)
		return inode_directory_fd(t, i);
	if (!i->parent)
		return -ESTALE;
	int directory = inode_directory_fd(t, i->parent);
	if (directory < 0)
		return directory;
	/* O_PATH with O_NOFOLLOW opens a symlink itself, which RESOLVE_NO_SYMLINKS allows for the
	 * last component. */
	AUTO_FD int fd = inode_open_name(directory, inode_name(i), O_PATH, 0);
	int r = fd < 0 ? fd : inode_check_fd(i, fd);
	if (r == -ENOENT || r == -ESTALE)
		return pins_find(&t->pins, i->nodeid);
	if (r < 0)
		return r;
	return *ret_owned = TAKE_FD(fd);
}

int inode_reach(struct inode_table *t, struct inode *i, int *ret_owned)
{
	int fd = inode_path_fd(t, i, ret_owned);
	return fd < 0 && i->handles ? i->handles->fd : fd;
}

int inode_is_unsearchable(struct inode_table *t, struct inode *i)
{
	struct statx st;
	int directory = i->parent ? inode_directory_fd(t, i->parent) : -ESTALE;
	return directory == -EACCES || (directory >= 0 && inode_statx(directory, inode_name(i), &st) == -EACCES);
}

int inode_stat(struct inode_table *t, struct inode *i, struct statx *st)
{
	if (i->fd >= 0)
		return inode_statx(i->fd, "", st);
	if (i->handles)
		return inode_statx(i->handles->fd, "", st);
	if (!i->parent)
		return -ESTALE;
	int directory = inode_directory_fd(t, i->parent);
	if (directory < 0)
		return directory;
	int r = inode_statx(directory, inode_name(i), st);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && inode_check(i, st) == 0)
		return 0;
	int held = i->type == S_IFDIR ? inode_directory_fd(t, i) : pins_find(&t->pins, i->nodeid);
	return held < 0 ? held : inode_statx(held, "", st);
}
