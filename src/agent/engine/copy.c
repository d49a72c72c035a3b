/* SPDX-License-Identifier: Apache-2.0
 * The first contents of a volume: what the image has at its place, with owners, modes, times and
 * extended attributes. Device nodes and sockets are left out: a container cannot make them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/engine/mounts.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/tree_copy.h"

enum { DEPTH_MAX = 128, NAMES_MAX = 64 * 1024, VALUE_MAX = 64 * 1024 };

/* An attribute that cannot be set is left out, as by cp. */
static void copy_attributes(int from, int to)
{
	AUTOFREE char *names = xcalloc(NAMES_MAX, 1), *value = xcalloc(VALUE_MAX, 1);
	ssize_t size = flistxattr(from, names, NAMES_MAX - 1);
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t n = fgetxattr(from, names + at, value, VALUE_MAX);
		if (n >= 0)
			(void)fsetxattr(to, names + at, value, (size_t)n, 0);
	}
}

static int copy_status(int from, int to)
{
	struct stat st;
	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return -errno;
	copy_attributes(from, to);
	const struct timespec times[] = { st.st_atim, st.st_mtim };
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_file(int from, int to, const char *name)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	int64_t n = fd_copy(in, out, UINT64_MAX);
	return n < 0 ? (int)n : copy_status(in, out);
}

/* Another container of the volume may put a symlink in the place of the fifo at any time, so the
 * fifo has its mode from birth. */
static int copy_fifo(int to, const char *name, const struct stat *st)
{
	mode_t mask = umask(0);
	int made = mkfifoat(to, name, st->st_mode & 0777);
	umask(mask);
	return made < 0 || fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_children(int from, int to, int depth);

static int copy_directory(int from, int to, const char *name, int depth)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || mkdirat(to, name, 0700) < 0)
		return -errno;
	AUTO_FD int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return out < 0 ? -errno : copy_children(in, out, depth + 1);
}

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		return copy_directory(from, to, name, depth);
	case S_IFREG:
		return copy_file(from, to, name);
	case S_IFLNK:
		return tree_copy_link(from, to, name, &st);
	case S_IFIFO:
		return copy_fifo(to, name, &st);
	default:
		return 0;
	}
}

static int copy_children(int from, int to, int depth)
{
	if (depth > DEPTH_MAX)
		return -ELOOP;
	int r = 0;
	DIR *d = path_list(from);
	if (!d)
		return -errno;
	for (struct dirent *entry; r == 0 && (entry = readdir(d));)
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			r = copy_entry(from, to, entry->d_name, depth);
	closedir(d);
	return r < 0 ? r : copy_status(from, to);
}

int copy_tree(int from, int to)
{
	return copy_children(from, to, 0);
}
