/* SPDX-License-Identifier: Apache-2.0
 * Attributes. ownership.c maps owners and modes.
 *
 * With share-locks=host, a read under a lock must return the data of the last write under one, on
 * either side. The guest drops its page cache when it sees another mtime or size, and it looks
 * before each read if its attributes have expired. So attributes of regular files expire at once. A
 * locked file's mtime may stay the same over two changes, because it ticks in milliseconds: the
 * server varies it in each reply, by less than a microsecond. Names that do not exist are not
 * cached either, because a database looks for a journal that may appear. */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "fsd/request/files.h"
#include "fsd/request/handlers.h"
#include "fsd/request/ownership.h"

static uint32_t mtime_varied(struct share *s, const struct statx *st)
{
	uint32_t ns = st->stx_mtime.tv_nsec;
	int64_t age = (int64_t)((uint64_t)clock_realtime_ns() - (uint64_t)statx_ns(&st->stx_mtime));
	if (age > TICK_NS || age < -TICK_NS)
		return ns;
	return ns - ns % 1000 +
	       (ns + 1 + s->mtime_count++ % 999) % 1000; /* never the true one, which the last reply has */
}

uint64_t attributes_number(const struct share *s, uint64_t dev, uint64_t ino)
{
	return dev == s->root_dev ? ino : ino ^ (dev * 0x9e3779b97f4a7c15ULL & 0xffff000000000000ULL);
}

void attributes_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_attr *ret)
{
	struct ownership o = ownership_of(s, i, -1, st);
	*ret = (struct fuse_attr){
		.ino = attributes_number(s, file_id_of(st).dev, st->stx_ino),
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = ownership_mode(&o, st),
		.nlink = st->stx_nlink,
		.uid = ownership_uid(s, &o),
		.gid = ownership_gid(s, &o),
		.rdev = (uint32_t)makedev(st->stx_rdev_major, st->stx_rdev_minor),
		.blksize = st->stx_blksize,
	};
	if (s->settings.host_locks && i && i->locked)
		ret->mtimensec = mtime_varied(s, st);
}

void attributes_note(struct inode *i, const struct statx *st)
{
	i->told.mtime_ns = statx_ns(&st->stx_mtime);
	i->told.size = st->stx_size;
	i->told.at_ms = clock_now_ms();
	i->told.valid = 1;
}

struct validity names_validity(const struct share *s)
{
	return s->settings.cache == SHARE_CACHE_STRICT ? (struct validity){ .ns = 50000000 } :
							 (struct validity){ .s = 1 };
}

/* A single shared file has no name that the guest would look up again, so its attributes are never
 * cached. */
struct validity attributes_validity(const struct share *s, uint32_t type)
{
	return (s->settings.host_locks || s->settings.file) && type == S_IFREG ? (struct validity){ 0 } :
										 names_validity(s);
}

void entry_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_entry_out *ret)
{
	struct validity name = i || !s->settings.host_locks ? names_validity(s) : (struct validity){ 0 };
	struct validity v = attributes_validity(s, i ? i->type : 0);
	*ret = (struct fuse_entry_out){
		.nodeid = i ? i->nodeid : 0,
		.entry_valid = name.s,
		.entry_valid_nsec = name.ns,
		.attr_valid = v.s,
		.attr_valid_nsec = v.ns,
	};
	if (!i)
		return;
	attributes_fill(s, i, st, &ret->attr);
	attributes_note(i, st);
}

static int reply_attributes(struct request *q, const struct statx *st)
{
	struct validity v = attributes_validity(q->share, q->inode->type);
	struct fuse_attr_out out = { .attr_valid = v.s, .attr_valid_nsec = v.ns };
	attributes_fill(q->share, q->inode, st, &out.attr);
	attributes_note(q->inode, st);
	return request_reply(q, &out, sizeof out);
}

int fuse_getattr(struct request *q)
{
	struct statx st;
	int result = inode_stat(&q->share->inodes, q->inode, &st);
	return result < 0 ? result : reply_attributes(q, &st);
}

static int change_size(struct request *q, const struct fuse_setattr_in *in)
{
	struct handle *h = (in->valid & FATTR_FH) ? request_handle(q, in->fh) : NULL;
	if (q->inode->type != S_IFREG)
		return q->inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (in->size > INT64_MAX)
		return -EFBIG;
	struct statx st;
	AUTO_FD int opened = -1;
	int fd =
	    h && (h->flags & O_ACCMODE) != O_RDONLY ? h->fd : (opened = file_open(q->share, q->inode, O_WRONLY, &st));
	if (fd < 0)
		return fd;
	ownership_written(q->share, fd);
	return ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
}

static struct timespec time_wanted(uint32_t valid, uint32_t set, uint32_t now, uint64_t seconds, uint32_t nanoseconds)
{
	if (!(valid & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){
		.tv_sec = (time_t)seconds,
		.tv_nsec = nanoseconds < 1000000000 ? nanoseconds : 999999999,
	};
}

static int change_times(const struct fuse_setattr_in *in, const char *path)
{
	struct timespec times[2] = { time_wanted(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_wanted(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec) };
	return utimensat(AT_FDCWD, path, times, 0) < 0 ? -errno : 0;
}

/* Changes all attributes of exactly this file: by a descriptor, because the name may lead to
 * another file by now. */
static int change_by_path(struct request *q, const struct fuse_setattr_in *in)
{
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int fd = inode_reach(&q->share->inodes, q->inode, &owned);
	if (fd < 0)
		return fd;
	share_proc_path(q->share, fd, path);
	int result = (in->valid & (FATTR_UID | FATTR_GID | FATTR_MODE)) ? ownership_change(q, fd, in) : 0;
	if (result == 0 && (in->valid & FATTR_SIZE))
		result = change_size(q, in);
	if (result == 0 && (in->valid & (FATTR_ATIME | FATTR_MTIME)))
		result = change_times(in, path);
	return result;
}

int fuse_setattr(struct request *q)
{
	struct fuse_setattr_in in;
	memcpy(&in, q->body, sizeof in);
	int only_size = !(in.valid & (FATTR_UID | FATTR_GID | FATTR_MODE | FATTR_ATIME | FATTR_MTIME));
	int result = !only_size ? change_by_path(q, &in) : (in.valid & FATTR_SIZE) ? change_size(q, &in) : 0;
	return result < 0 ? result : fuse_getattr(q);
}

int fuse_access(struct request *q)
{
	struct fuse_access_in in;
	memcpy(&in, q->body, sizeof in);
	if (in.mask & ~(uint32_t)(R_OK | W_OK | X_OK))
		return -EINVAL;
	if ((in.mask & W_OK) && q->share->settings.read_only)
		return -EROFS;
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int fd = inode_reach(&q->share->inodes, q->inode, &owned);
	if (fd < 0)
		return fd;
	if (faccessat(AT_FDCWD, share_proc_path(q->share, fd, path), (int)in.mask, AT_EACCESS) < 0)
		return -errno;
	return request_reply(q, NULL, 0);
}

int fuse_statfs(struct request *q)
{
	struct statfs fs;
	AUTO_FD int owned = -1;
	int fd = inode_reach(&q->share->inodes, q->inode, &owned);
	if (fstatfs(fd >= 0 ? fd : q->share->inodes.root->fd, &fs) < 0)
		return -errno;
	struct fuse_statfs_out out = {.st = {
					      .blocks = fs.f_blocks,
					      .bfree = fs.f_bfree,
					      .bavail = fs.f_bavail,
					      .files = fs.f_files,
					      .ffree = fs.f_ffree,
					      .bsize = (uint32_t)fs.f_bsize,
					      .namelen = (uint32_t)fs.f_namelen,
					      .frsize = (uint32_t)fs.f_frsize,
				      },};
	return request_reply(q, &out, sizeof out);
}
