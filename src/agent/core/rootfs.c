/* SPDX-License-Identifier: Apache-2.0
 * See rootfs.h. */
#include "agent/core/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

enum { LINKS_MAX = 8 };

int rootfs_read(int root, const char *path, char **ret)
{
	struct stat st;
	AUTO_FD int fd = path_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	AUTOFREE char *text = NULL;
	size_t size = 0;
	int r = fd_read_all(fd, ROOTFS_FILE_MAX, &text, &size);
	if (r < 0)
		return r;
	if (strlen(text) != size)
		return -EINVAL;
	*ret = TAKE_PTR(text);
	return 0;
}

static int make_below(int root, const char *path, mode_t mode, int links, struct error **err);

/* Makes the directory that a symlink leads to, as /home -> var/home of some images. `at` ends in
 * the link's name. 0, or -errno without a text. */
static int make_target(int root, int parent, const char *at, mode_t mode, int links)
{
	char target[4096];
	ssize_t n = readlinkat(parent, path_base(at), target, sizeof target - 1);
	if (n <= 0 || links >= LINKS_MAX)
		return n <= 0 ? -ENOENT : -ELOOP;
	target[n] = '\0';
	AUTOFREE char *above = path_parent(at), *whole = target[0] == '/' ? xstrdup(target) : path_join(above, target);
	AUTO_FD int made = make_below(root, whole, mode, links + 1, NULL);
	return made < 0 ? made : 0;
}

static int make_below(int root, const char *path, mode_t mode, int links, struct error **err)
{
	AUTOFREE char *clean = path_normalize(path);
	if (!clean)
		return error_set(err, EINVAL, "\"%s\" is not an absolute path", path);
	AUTO_FD int parent = path_open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
	for (char *at = clean + 1; parent >= 0 && *at;) {
		char *slash = strchrnul(at, '/'), end = *slash;
		*slash = '\0';
		if (mkdirat(parent, at, mode) < 0 && errno != EEXIST)
			return error_set_errno(err, errno, "cannot make %s in the machine", clean);
		int next = path_open_in_root(root, clean, O_PATH | O_DIRECTORY, 0);
		if (next == -ENOENT && make_target(root, parent, clean, mode, links) == 0)
			next = path_open_in_root(root, clean, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return error_set_errno(err, next, "cannot use %s in the machine as a directory", clean);
		fd_close(parent);
		parent = next;
		*slash = end;
		at = end ? slash + 1 : slash;
	}
	if (parent < 0)
		return error_set_errno(err, parent, "cannot open %s in the machine", path);
	return TAKE_FD(parent);
}

int rootfs_mkdir(int root, const char *path, mode_t mode, struct error **err)
{
	return make_below(root, path, mode, 0, err);
}

/* Makes a new file. What a symlink there leads to is made in its place, as /etc/resolv.conf ->
 * ../run/resolv.conf of some images. 0 or -errno. */
static int make_file(int root, const char *path, int links, struct error **err)
{
	char target[4096];
	AUTOFREE char *above = path_parent(path);
	AUTO_FD int parent = rootfs_mkdir(root, above, 0755, err);
	if (parent < 0)
		return parent;
	AUTO_FD int file = openat(parent, path_base(path), O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int code = errno;
	ssize_t n = file < 0 && code == EEXIST ? readlinkat(parent, path_base(path), target, sizeof target - 1) : -1;
	if (file < 0 && (n <= 0 || links >= LINKS_MAX))
		return error_set_errno(err, n > 0 ? ELOOP : code, "cannot make %s in the machine", path);
	if (file >= 0)
		return 0;
	target[n] = '\0';
	AUTOFREE char *whole = target[0] == '/' ? xstrdup(target) : path_join(above, target),
		      *clean = path_normalize(whole);
	return clean ? make_file(root, clean, links + 1, err) :
		       error_set(err, EINVAL, "cannot make %s in the machine", path);
}

int rootfs_open_file(int root, const char *path, struct error **err)
{
	int fd = path_open_in_root(root, path, O_PATH, 0);
	int r = fd == -ENOENT ? make_file(root, path, 0, err) : 0;
	if (r < 0)
		return r;
	if (fd == -ENOENT)
		fd = path_open_in_root(root, path, O_PATH, 0);
	return fd < 0 ? error_set_errno(err, fd, "cannot use %s in the machine", path) : fd;
}

static int open_parent(int root, const char *path, struct error **err)
{
	AUTOFREE char *parent = path_parent(path);
	int fd = path_open_in_root(root, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd != -ENOENT)
		return fd < 0 ? error_set_errno(err, fd, "cannot open %s in the machine", parent) : fd;
	AUTO_FD int made = rootfs_mkdir(root, parent, 0755, err);
	if (made < 0)
		return made;
	fd = openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "cannot open %s in the machine", parent) : fd;
}

static int is_same(int directory, const char *name, mode_t mode, const char *text)
{
	struct stat st;
	AUTO_FD int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTOFREE char *old = NULL;
	size_t size = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (mode && (st.st_mode & 07777) != mode))
		return 0;
	return fd_read_all(fd, ROOTFS_FILE_MAX, &old, &size) >= 0 && size == strlen(text) &&
	       memcmp(old, text, size) == 0;
}

int rootfs_write(int root, const char *path, mode_t mode, const char *text, struct error **err)
{
	const char *name = path_base(path);
	AUTO_FD int directory = open_parent(root, path, err);
	if (directory < 0)
		return directory;
	if (is_same(directory, name, mode, text))
		return 0;
	struct stat st;
	int existed = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	if (!mode)
		mode = existed ? st.st_mode & 07777 : 0644;
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	int r = atomic_file_open(&f, directory, 0600, err);
	if (r < 0)
		return error_prefix(err, r, "%s in the machine", path);
	r = fd_write_full(f.fd, text, strlen(text));
	if (r >= 0 && existed && fchown(f.fd, st.st_uid, st.st_gid) < 0)
		r = -errno;
	if (r >= 0 && fchmod(f.fd, mode) < 0)
		r = -errno;
	if (r < 0)
		return error_set_errno(err, r, "cannot write %s in the machine", path);
	return atomic_file_commit(&f, name, err);
}

int rootfs_symlink(int root, const char *path, const char *target, struct error **err)
{
	AUTO_FD int directory = open_parent(root, path, err);
	if (directory < 0)
		return directory;
	const char *name = path_base(path);
	char old[4096];
	ssize_t n = readlinkat(directory, name, old, sizeof old - 1);
	if (n >= 0) {
		old[n] = '\0';
		if (streq(old, target))
			return 0;
	}
	AUTOFREE char *temporary = xasprintf(".tmp-holm-%d", (int)getpid());
	if (symlinkat(target, directory, temporary) < 0)
		return error_set_errno(err, errno, "cannot make the symlink %s in the machine", path);
	if (renameat(directory, temporary, directory, name) < 0) {
		int r = error_set_errno(err, errno, "cannot replace %s in the machine", path);
		unlinkat(directory, temporary, 0);
		return r;
	}
	return 0;
}

int rootfs_exists(int root, const char *path)
{
	AUTO_FD int fd = path_open_in_root(root, path, O_PATH, 0);
	return fd >= 0;
}

int rootfs_is_program(int root, const char *path)
{
	struct stat st;
	AUTO_FD int fd = path_open_in_root(root, path, O_PATH, 0);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* The kernel tells where an open file is through /proc; both sides are asked the same way so that
 * the prefix always matches. */
static int path_of(int fd, char **ret)
{
	AUTOFREE char *link = xasprintf("/proc/self/fd/%d", fd);
	char buffer[4096];
	ssize_t n = readlink(link, buffer, sizeof buffer);
	if (n < 0)
		return -errno;
	if (n == sizeof buffer)
		return -ENAMETOOLONG;
	*ret = xstrndup(buffer, (size_t)n);
	return 0;
}

int rootfs_resolve(int root, const char *path, char **ret)
{
	AUTO_FD int fd = path_open_in_root(root, path, O_PATH, 0);
	AUTOFREE char *top = NULL;
	AUTOFREE char *full = NULL;
	if (fd < 0)
		return fd;
	int r = path_of(root, &top);
	if (r < 0 || (r = path_of(fd, &full)) < 0)
		return r;
	if (!path_is_below(full, top))
		return -EXDEV;
	const char *rest = streq(top, "/") ? full : full + strlen(top);
	*ret = xstrdup(*rest ? rest : "/");
	return 0;
}
