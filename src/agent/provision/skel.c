/* SPDX-License-Identifier: Apache-2.0
 * A small recursive copy by descriptors, which follows no symlink and is bounded in every
 * direction. */
#include "agent/provision/skel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

struct copy {
	uint32_t uid, gid;
	unsigned entries;
	uint64_t bytes;
};

static int copy_directory(struct copy *c, int from, int to, int depth);

static int copy_file(struct copy *c, int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (in < 0 || out < 0)
		return errno == EEXIST ? 0 : -errno;
	if (c->bytes + (uint64_t)st->st_size > SKEL_BYTES_MAX)
		return -EFBIG;
	int64_t n = fd_copy(in, out, (uint64_t)st->st_size);
	if (n < 0)
		return (int)n;
	c->bytes += (uint64_t)n;
	return fchown(out, c->uid, c->gid) < 0 || fchmod(out, st->st_mode & 0777) < 0 ? -errno : 0;
}

static int copy_symlink(struct copy *c, int from, int to, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return errno == EEXIST ? 0 : -errno;
	return fchownat(to, name, c->uid, c->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_subdirectory(struct copy *c, int from, int to, const char *name, const struct stat *st, int depth)
{
	if (mkdirat(to, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || out < 0)
		return -errno;
	int r = copy_directory(c, in, out, depth + 1);
	if (r < 0)
		return r;
	return fchown(out, c->uid, c->gid) < 0 || fchmod(out, st->st_mode & 0777) < 0 ? -errno : 0;
}

static int copy_entry(struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st;
	if (++c->entries > SKEL_ENTRIES_MAX)
		return -E2BIG;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, &st);
	if (S_ISLNK(st.st_mode))
		return copy_symlink(c, from, to, name);
	return S_ISDIR(st.st_mode) ? copy_subdirectory(c, from, to, name, &st, depth) : 0;
}

static int copy_directory(struct copy *c, int from, int to, int depth)
{
	if (depth > SKEL_DEPTH_MAX)
		return -ELOOP;
	int r = 0;
	DIR *d = path_list(from);
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = copy_entry(c, from, to, e->d_name, depth);
	closedir(d);
	return r;
}

int skel_copy(int root, const char *from, int to, uint32_t uid, uint32_t gid, struct error **err)
{
	struct copy c = { .uid = uid, .gid = gid };
	AUTO_FD int in = path_open_in_root(root, from, O_RDONLY | O_DIRECTORY, 0);
	AUTO_FD int out = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in < 0)
		return in == -ENOENT ? 0 : error_set_errno(err, in, "cannot open %s in the machine", from);
	int r = out < 0 ? -errno : copy_directory(&c, in, out, 0);
	return r < 0 ? error_set_errno(err, r, "cannot copy %s to the new home", from) : 0;
}
