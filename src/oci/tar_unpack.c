/* SPDX-License-Identifier: Apache-2.0
 * Entry by entry: the parent is opened beneath the directory without following symlinks, so neither
 * "..", nor absolute names, nor a symlink made by an earlier entry lead out. A directory's mode and
 * time are set at the end, when nothing is written into it any more. */
#include "oci/tar_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

enum { DIRECTORIES_MAX = 1 << 20 };

struct late_directory {
	char *path;
	mode_t mode;
	struct timespec mtime;
};

struct unpack {
	const struct tar_unpack *u;
	struct tar_reader *reader;
	struct late_directory *late;
	size_t late_count;
	size_t left_out;
	char *parent; /* the last entry's, which most often is the next one's, too; or NULL */
	int parent_fd;
};

/* The entry's place relative to the directory: owned, "" for the directory itself; NULL when it
 * would lead out. */
static char *place_of(const struct tar_unpack *u, const char *path)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTO_STRV struct strv kept = { 0 };
	strv_split(&parts, path, "/");
	for (size_t i = 0; i < parts.count; i++) {
		if (streq(parts.items[i], ".."))
			return NULL;
		if (!streq(parts.items[i], "."))
			strv_add(&kept, parts.items[i]);
	}
	if (u->strip && kept.count) {
		free(kept.items[0]);
		kept.count--;
		memmove(kept.items, kept.items + 1, (kept.count + 1) * sizeof *kept.items);
	} else if (u->name && kept.count) {
		free(kept.items[0]);
		kept.items[0] = xstrdup(u->name);
	} else if (u->name) {
		strv_add(&kept, u->name);
	}
	return strv_join(&kept, "/");
}

static int no_follow(const struct unpack *p)
{
	return p->u->follow ? 0 : O_NOFOLLOW;
}

/* Opens the parent of `place`, making what is missing of it. */
static int walk_to_parent(const struct unpack *p, const char *place)
{
	AUTOFREE char *copy = xstrdup(place);
	AUTO_FD int at = openat(p->u->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *part = copy;
	for (char *slash; at >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
		*slash = '\0';
		if (mkdirat(at, part, 0755) == 0 && p->u->uid >= 0)
			(void)!fchownat(at, part, (uid_t)p->u->uid, (gid_t)p->u->gid, AT_SYMLINK_NOFOLLOW);
		int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_follow(p));
		if (next < 0)
			return -errno;
		fd_close(at);
		at = next;
	}
	return at < 0 ? -errno : TAKE_FD(at);
}

/* The same; the descriptor is p's, until the next call. */
static int open_parent(struct unpack *p, const char *place)
{
	const char *slash = strrchr(place, '/');
	size_t n = slash ? (size_t)(slash - place) : 0;
	if (p->parent && strlen(p->parent) == n && memcmp(p->parent, place, n) == 0)
		return p->parent_fd;
	int fd = walk_to_parent(p, place);
	if (fd < 0)
		return fd;
	if (p->parent)
		fd_close(p->parent_fd);
	free(p->parent);
	p->parent = xstrndup(place, n);
	p->parent_fd = fd;
	return fd;
}

static void forget_parent(struct unpack *p)
{
	if (p->parent)
		fd_close(p->parent_fd);
	free(TAKE_PTR(p->parent));
}

static void owner_of(const struct unpack *p, const struct tar_entry *e, uid_t *uid, gid_t *gid)
{
	*uid = p->u->uid >= 0 ? (uid_t)p->u->uid : e->uid;
	*gid = p->u->gid >= 0 ? (gid_t)p->u->gid : e->gid;
}

static mode_t mode_of(const struct unpack *p, const struct tar_entry *e)
{
	return e->mode & (p->u->foreign ? 0777 : 07777);
}

static size_t xattrs_of(const struct unpack *p, const struct tar_entry *e)
{
	return p->u->foreign ? 0 : e->xattr_count;
}

/* A share refuses to give files to others; they belong to the user there anyway. */
static int is_harmless(const struct unpack *p, int code)
{
	return !p->u->layer && (code == EPERM || code == EOPNOTSUPP || code == EINVAL);
}

static int write_content(struct unpack *p, int fd, uint64_t size, struct error **err)
{
	const void *data;
	size_t n;
	uint64_t offset;
	int r;
	while ((r = tar_reader_read(p->reader, &data, &n, &offset, err)) > 0)
		for (size_t done = 0; done < n;) {
			ssize_t written = pwrite(fd, (const char *)data + done, n - done, (off_t)(offset + done));
			if (written < 0 && errno != EINTR)
				return -errno;
			done += written > 0 ? (size_t)written : 0;
		}
	return r < 0 ? r : ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int create_file(int parent, const char *name)
{
	return openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int make_file(struct unpack *p, const struct tar_entry *e, int parent, const char *name, struct error **err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = (time_t)e->mtime, .tv_nsec = e->mtime_ns } };
	uid_t uid;
	gid_t gid;
	owner_of(p, e, &uid, &gid);
	AUTO_FD int fd = create_file(parent, name);
	if (fd < 0 && errno == EEXIST && unlinkat(parent, name, 0) == 0)
		fd = create_file(parent, name);
	if (fd < 0)
		return -errno;
	int r = write_content(p, fd, e->size, err);
	if (r < 0)
		return r;
	if ((fchown(fd, uid, gid) < 0 && !is_harmless(p, errno)) || fchmod(fd, mode_of(p, e)) < 0)
		return -errno;
	for (size_t i = 0; i < xattrs_of(p, e); i++)
		if (fsetxattr(fd, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].size, 0) < 0 &&
		    !is_harmless(p, errno))
			return -errno;
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int make_directory(struct unpack *p, const struct tar_entry *e, int parent, const char *place)
{
	const char *name = path_base(place);
	uid_t uid;
	gid_t gid;
	owner_of(p, e, &uid, &gid);
	int made = mkdirat(parent, name, 0700) == 0;
	AUTO_FD int fd =
	    made || errno == EEXIST ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_follow(p)) : -1;
	if (fd < 0)
		return errno == ELOOP ? -ENOTDIR : -errno;
	if (!made && !p->u->layer)
		return 0; /* an existing file keeps its owner and mode */
	if (fchown(fd, uid, gid) < 0 && !is_harmless(p, errno))
		return -errno;
	for (size_t i = 0; i < xattrs_of(p, e); i++)
		if (fsetxattr(fd, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].size, 0) < 0 &&
		    !is_harmless(p, errno))
			return -errno;
	if (p->late_count >= DIRECTORIES_MAX)
		return -E2BIG;
	if ((p->late_count & (p->late_count - 1)) == 0)
		p->late = xrealloc(p->late, MAX(p->late_count * 2, (size_t)1), sizeof *p->late);
	p->late[p->late_count++] = (struct late_directory){
		.path = xstrdup(place),
		.mode = mode_of(p, e),
		.mtime = { .tv_sec = (time_t)e->mtime, .tv_nsec = e->mtime_ns },
	};
	return 0;
}

static int make_hard_link(struct unpack *p, const struct tar_entry *e, int parent, const char *name)
{
	AUTOFREE char *target = place_of(p->u, e->target);
	if (!target || !*target)
		return -EXDEV;
	AUTO_FD int from = walk_to_parent(p, target);
	if (from < 0)
		return from;
	unlinkat(parent, name, 0);
	return linkat(from, path_base(target), parent, name, 0) < 0 ? -errno : 0;
}

static int make_special(struct unpack *p, const struct tar_entry *e, int parent, const char *name)
{
	mode_t type = e->type == TAR_FIFO ? S_IFIFO : e->type == TAR_CHAR ? S_IFCHR : S_IFBLK;
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = (time_t)e->mtime, .tv_nsec = e->mtime_ns } };
	uid_t uid;
	gid_t gid;
	if (p->u->foreign && (e->type == TAR_CHAR || e->type == TAR_BLOCK)) {
		p->left_out++;
		return 0;
	}
	owner_of(p, e, &uid, &gid);
	unlinkat(parent, name, 0);
	int r = e->type == TAR_SYMLINK ? symlinkat(e->target, parent, name) :
					 mknodat(parent, name, type | mode_of(p, e), makedev(e->major, e->minor));
	if (r < 0)
		return -errno;
	if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && !is_harmless(p, errno))
		return -errno;
	(void)!utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* Whether an entry of a layer would change more than its own place. */
static int reaches_below(const struct tar_entry *e, const char *place)
{
	if (!*place || startswith(path_base(place), ".wh.") || e->type == TAR_CHAR || e->type == TAR_BLOCK)
		return 1;
	for (size_t i = 0; i < e->xattr_count; i++)
		if (startswith(e->xattrs[i].name, "user.overlay.") || startswith(e->xattrs[i].name, "trusted."))
			return 1;
	return 0;
}

static int unpack_entry(struct unpack *p, const struct tar_entry *e, struct error **err)
{
	AUTOFREE char *place = place_of(p->u, e->path);
	if (!place)
		return error_set(err, EINVAL, "the archive has an entry that leads out of it: %.200s", e->path);
	if (p->u->layer && reaches_below(e, place))
		return error_set(err, EOPNOTSUPP, "the layer changes more than its files: %.200s", e->path);
	if (!*place)
		return 0; /* the directory itself */
	int parent = open_parent(p, place);
	const char *name = path_base(place);
	int r = parent;
	if (parent >= 0) {
		switch (e->type) {
		case TAR_FILE:
			r = make_file(p, e, parent, name, err);
			break;
		case TAR_DIRECTORY:
			r = make_directory(p, e, parent, place);
			break;
		case TAR_LINK:
			r = make_hard_link(p, e, parent, name);
			break;
		default:
			r = make_special(p, e, parent, name);
		}
	}
	return r < 0 ? error_set_errno(err, r, "cannot write %.200s", place) : 0;
}

/* Deepest last made, first finished. In a layer the last entry of a directory counts. */
static void finish_directories(struct unpack *p)
{
	for (size_t i = 0; i < p->late_count; i++) {
		struct late_directory *d = &p->late[p->u->layer ? i : p->late_count - 1 - i];
		struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, d->mtime };
		AUTO_FD int fd = path_open_beneath(p->u->directory, d->path, O_RDONLY | O_DIRECTORY, 0);
		if (fd >= 0 && fchmod(fd, d->mode) == 0)
			(void)futimens(fd, times);
		free(d->path);
	}
	free(p->late);
}

int tar_unpack_run(const struct tar_unpack *u, tar_source *source, void *data, size_t *left_out, struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *reader = tar_reader_new(source, data, NULL);
	struct unpack p = { .u = u, .reader = reader };
	const struct tar_entry *e;
	int r;
	while ((r = tar_reader_next(reader, &e, err)) > 0) {
		r = unpack_entry(&p, e, err);
		if (r < 0)
			break;
	}
	forget_parent(&p);
	finish_directories(&p);
	if (left_out)
		*left_out = p.left_out;
	return r;
}
