/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"

enum { TREE_DEPTH_MAX = 64 };

char *path_join(const char *directory, const char *name)
{
	if (*name == '/' || !*directory)
		return xstrdup(name);
	return xasprintf(endswith(directory, "/") ? "%s%s" : "%s/%s", directory, name);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

char *path_flatten(const char *path)
{
	char *name = xmalloc(3 * strlen(path) + 1), *to = name;
	for (const char *p = path; *p; p++) {
		if (*p == '/' || *p == '%')
			to = stpcpy(to, *p == '/' ? "%2F" : "%25");
		else
			*to++ = *p;
	}
	*to = '\0';
	return name;
}

char *path_normalize(const char *path)
{
	if (*path != '/')
		return NULL;
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, path, "/");
	char *result = xmalloc(strlen(path) + 2), *at = result;
	*at = '\0';
	for (size_t i = 0; i < parts.count; i++) {
		if (streq(parts.items[i], "."))
			continue;
		if (streq(parts.items[i], "..")) {
			while (at > result && *--at != '/')
				;
			*at = '\0';
			continue;
		}
		*at++ = '/';
		at = stpcpy(at, parts.items[i]);
	}
	if (at == result)
		stpcpy(at, "/");
	return result;
}

int path_is_mount_place(const char *path)
{
	return !strpbrk(path, "\n:");
}

int path_is_below(const char *path, const char *directory)
{
	if (streq(directory, "/"))
		return *path == '/';
	const char *rest = startswith(path, directory);
	return rest && (*rest == '\0' || *rest == '/');
}

static int make_directory(const char *path, mode_t mode)
{
	struct stat st;
	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int path_mkdir_all(const char *path, mode_t mode, struct error **err)
{
	AUTOFREE char *partial = xstrdup(path);
	int r = make_directory(path, mode);
	if (r == 0)
		return 0;
	for (char *c = partial + 1; r == -ENOENT && *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		int made = make_directory(partial, mode);
		if (made < 0)
			return error_set_errno(err, made, "cannot make directory %s", partial);
		*c = '/';
	}
	r = make_directory(path, mode);
	return r < 0 ? error_set_errno(err, r, "cannot make directory %s", path) : 0;
}

int path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int open_how(int directory, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve,
	};
	long fd;
	do
		fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int path_open_in_root(int root, const char *path, int flags, mode_t mode)
{
	return open_how(root, *path ? path : "/", flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int path_open_beneath(int directory, const char *path, int flags, mode_t mode)
{
	return open_how(directory, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

DIR *path_list(int directory)
{
	AUTO_FD int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (d)
		(void)TAKE_FD(copy);
	return d;
}

/* A tree may be deeper than a process can have descriptors: what lies too deep is moved up to the
 * top and deleted from there. */
struct removal {
	int top; /* the tree's own directory */
	dev_t device;
	unsigned moved;
};

static int remove_children(struct removal *x, int fd, int depth);

static int move_up(struct removal *x, int directory, const char *name)
{
	char place[32];
	for (;;) {
		snprintf(place, sizeof place, ".deep-%u", x->moved++);
		if (renameat2(directory, name, x->top, place, RENAME_NOREPLACE) == 0)
			return 0;
		/* A directory that takes another parent must be writable itself. */
		if (errno != EEXIST && (errno != EACCES || fchmodat(directory, name, 0700, AT_SYMLINK_NOFOLLOW) < 0 ||
					   renameat2(directory, name, x->top, place, RENAME_NOREPLACE) < 0))
			return -errno;
	}
}

static int open_directory(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(directory, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

static int remove_entry(struct removal *x, int directory, const char *name, int depth)
{
	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EACCES)
		return -errno;
	int first = -errno;
	AUTO_FD int fd = open_directory(directory, name);
	struct stat st;
	if (fd < 0)
		return errno == ENOTDIR ? first : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != x->device)
		return -EBUSY;
	if (depth >= TREE_DEPTH_MAX)
		return move_up(x, directory, name);
	int r = remove_children(x, fd, depth + 1);
	if (unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

static int remove_children(struct removal *x, int fd, int depth)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), result = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		result = -errno;
		fd_close(copy);
		return result;
	}
	/* A directory without write permission keeps its children: it is about to go, so make it
	 * writable. */
	fchmod(fd, 0700);
	rewinddir(d); /* the top is read again when something was moved there */
	for (struct dirent *e; (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		int r = remove_entry(x, fd, e->d_name, depth);
		if (r < 0 && result == 0)
			result = r;
	}
	closedir(d);
	return result;
}

int path_remove_tree(int directory, const char *name)
{
	struct removal x = { 0 };
	struct stat st;
	if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EACCES)
		return -errno;
	int r = -errno;
	AUTO_FD int top = open_directory(directory, name);
	if (top < 0)
		return errno == ENOTDIR ? r : -errno;
	if (fstat(top, &st) < 0)
		return -errno;
	x.top = top;
	x.device = st.st_dev;
	for (unsigned before = 1; before != x.moved;) {
		before = x.moved;
		r = remove_children(&x, top, 1);
	}
	if (unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

char *path_identity(int directory, const char *name)
{
	struct stat st;
	if (fstatat(directory, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return xstrdup(PATH_NOTHING);
	return xasprintf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

int path_read_file(const char *path, size_t max, char **ret, size_t *ret_size)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_read_all(fd, max, ret, ret_size);
}
