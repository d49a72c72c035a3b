/* SPDX-License-Identifier: Apache-2.0
 * Root's agent has none of the host's ids, so it cannot walk to holm's own folders: /root is closed
 * to it. It gets them all the same, at the same paths, and nothing else opens up: before it starts,
 * its process gets a copy of the mount namespace in which the first directory on the way that is
 * closed is covered by an empty one, and holm's folders are mounted below that. What is in them
 * belongs to mapped ids; the folders themselves stay root's and let others pass through. */
#include "isolation/native/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

/* Lets others pass through a directory of ours. */
static int open_up(const char *path, struct error **err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (st.st_uid == geteuid() && !(st.st_mode & S_IXOTH) &&
	    fchmod(fd, (st.st_mode & 07777) | S_IXGRP | S_IXOTH) < 0)
		return error_set_errno(err, errno, "cannot open %s for the machine", path);
	return 0;
}

/* The machine's folder; upper, work and private in it become the machine's root's. */
static int open_up_machine(const struct isolation_run *run, struct error **err)
{
	static const char *const parts[] = { "upper", "work", "private" };
	struct stat st;
	if (mkdir(run->folder, 0711) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make %s", run->folder);
	AUTO_FD int folder = open(run->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int failed = folder < 0;
	for (size_t i = 0; !failed && i < ARRAY_SIZE(parts); i++) {
		int made = mkdirat(folder, parts[i], 0755) == 0;
		failed = !made && errno != EEXIST;
		if (made)
			/* the umask is strict, and upper's mode is that of "/" inside */
			failed = fchmodat(folder, parts[i], 0755, AT_SYMLINK_NOFOLLOW) < 0;
		if (!failed && fstatat(folder, parts[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 0)
			failed = fchownat(folder, parts[i], run->ids.uids[0].outside, run->ids.gids[0].outside,
				     AT_SYMLINK_NOFOLLOW) < 0;
	}
	return failed ? error_set_errno(err, errno, "cannot prepare %s", run->folder) : open_up(run->folder, err);
}

/* The first directory on the way to path that others may not pass through, owned; NULL: none. */
static char *first_closed(const char *path)
{
	struct stat st;
	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i])
			continue;
		AUTOFREE char *part = xstrndup(path, i);
		if (stat(part, &st) == 0 && !(st.st_mode & S_IXOTH))
			return TAKE_PTR(part);
	}
	return NULL;
}

static int add_folder(struct native_view *v, const char *path, struct error **err)
{
	for (size_t i = 0; i < v->count; i++)
		if (streq(v->folders[i].path, path))
			return 0;
	if (v->count == NATIVE_VIEW_MAX)
		return error_set(err, E2BIG, "the machine's layers lie in more than %d folders", NATIVE_VIEW_MAX);
	struct native_view_folder *f = &v->folders[v->count];
	char *closed = first_closed(path);
	if (!closed)
		return 0;
	struct mount_attr attributes = { .propagation = MS_PRIVATE }; /* else it is a peer of the host's */
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
		int code = errno;
		fd_close(fd);
		free(closed);
		return error_set_errno(err, code, "cannot take a mount of %s", path);
	}
	*f = (struct native_view_folder){ .path = xstrdup(path), .cover = closed, .mount = fd };
	v->count++;
	return 0;
}

/* The folder that holds a lower directory: all bases of clones lie in one, a folder each. */
static int add_lower(struct native_view *v, const char *path, struct error **err)
{
	AUTOFREE char *machines = machine_list_dir(), *bases = path_join(machines, ".bases"),
		      *parent = path_parent(path);
	const char *folder = path_is_below(path, bases) ? bases : parent;
	int r = open_up(parent, err);
	if (r >= 0 && folder == bases)
		r = open_up(bases, err);
	return r < 0 ? r : add_folder(v, folder, err);
}

int native_view_prepare(const struct isolation_run *run, struct native_view *v, struct error **err)
{
	AUTO_STRV struct strv lower = { 0 };
	AUTOFREE char *program = path_libexec("holm-agent"), *programs = path_parent(program);
	int result;
	/* The programs, too: a checkout may lie in /root as well. */
	if ((result = open_up_machine(run, err)) < 0 || (result = add_folder(v, programs, err)) < 0 ||
	    (result = add_folder(v, run->folder, err)) < 0 || (result = native_lower(run->machine, &lower, err)) < 0)
		return result;
	for (size_t i = 0; result >= 0 && i < lower.count; i++)
		result = add_lower(v, lower.items[i], err);
	return result;
}

void native_view_done(struct native_view *v)
{
	for (size_t i = 0; i < v->count; i++) {
		fd_close(v->folders[i].mount);
		free(v->folders[i].path);
		free(v->folders[i].cover);
	}
	v->count = 0;
}

/* ---- in the child ---- */

static int make_way(const char *path)
{
	char part[PATH_MAX];
	size_t size = strlen(path);
	if (size >= sizeof part)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= size; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int cover(const struct native_view *v, size_t which)
{
	for (size_t i = 0; i < which; i++)
		if (streq(v->folders[i].cover, v->folders[which].cover))
			return 0;
	return mount("holm", v->folders[which].cover, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") <
		       0 ?
		   -errno :
		   0;
}

int native_view_enter(const struct native_view *v, int first_fd)
{
	if (v->count && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0))
		return -errno;
	for (size_t i = 0; i < v->count; i++) {
		int r = cover(v, i);
		if (r < 0 || (r = make_way(v->folders[i].path)) < 0)
			return r;
		if (move_mount(first_fd + (int)i, "", AT_FDCWD, v->folders[i].path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -errno;
		close(first_fd + (int)i);
	}
	return 0;
}
