/* SPDX-License-Identifier: Apache-2.0
 * Slow operations. They run as jobs on copies of the descriptors, so that other requests continue
 * meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/request/files.h"
#include "fsd/request/handlers.h"
#include "fsd/request/ownership.h"

enum { COPY_MAX = 64 << 20 }; /* bytes of one COPY_FILE_RANGE; the program inside continues from there */

static int64_t run_close(const struct job *j)
{
	int copy = fcntl(j->fds[0], F_DUPFD_CLOEXEC, 0);
	return copy < 0 || close(copy) < 0 ? -errno : 0;
}

int fuse_flush(struct request *q)
{
	struct fuse_flush_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h)
		return -EBADF;
	locks_flush(q->share, h->nodeid, in.lock_owner);
	return q->share->flush_files ? request_defer(q, run_close, h->fd, -1) : request_reply(q, NULL, 0);
}

static int64_t run_sync(const struct job *j)
{
	return (j->arguments[0] ? fdatasync(j->fds[0]) : fsync(j->fds[0])) < 0 ? -errno : 0;
}

static int sync_handle(struct request *q)
{
	struct fuse_fsync_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h)
		return -EBADF;
	q->job.arguments[0] = in.fsync_flags & FUSE_FSYNC_FDATASYNC;
	return request_defer(q, run_sync, h->fd, -1);
}

int fuse_fsync(struct request *q)
{
	return sync_handle(q);
}

int fuse_fsyncdir(struct request *q)
{
	return sync_handle(q);
}

static int64_t run_syncfs(const struct job *j)
{
	return syncfs(j->fds[0]) < 0 ? -errno : 0;
}

int fuse_syncfs(struct request *q)
{
	/* syncfs(2) does not take O_PATH descriptors; the root's is a regular one. */
	return request_defer(q, run_syncfs, q->share->inodes.root->fd, -1);
}

static int64_t run_fallocate(const struct job *j)
{
	return fallocate(j->fds[0], (int)j->arguments[0], j->arguments[1], j->arguments[2]) < 0 ? -errno : 0;
}

int fuse_fallocate(struct request *q)
{
	struct fuse_fallocate_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h || h->inode->type != S_IFREG)
		return -EBADF;
	if (in.mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (in.offset > INT64_MAX || in.length > INT64_MAX)
		return -EFBIG;
	h->inode->told.valid = 0;
	ownership_written(q->share, h->fd);
	q->job.arguments[0] = in.mode;
	q->job.arguments[1] = (int64_t)in.offset;
	q->job.arguments[2] = (int64_t)in.length;
	return request_defer_change(q, run_fallocate, h->inode, h->fd, -1);
}

static int64_t run_copy(const struct job *j)
{
	off_t from = j->arguments[0], to = j->arguments[1];
	ssize_t n = copy_file_range(j->fds[0], &from, j->fds[1], &to, (size_t)j->arguments[2], 0);
	return n < 0 ? -errno : n;
}

int fuse_copy_file_range(struct request *q)
{
	struct fuse_copy_file_range_in in;
	memcpy(&in, q->body, sizeof in);
	struct inode *other = inode_find(&q->share->inodes, in.nodeid_out);
	struct handle *from = request_handle(q, in.fh_in),
		      *to = other ? handle_find(&q->share->handles, in.fh_out, other) : NULL;
	if (!from || !to || from->inode->type != S_IFREG || to->inode->type != S_IFREG)
		return -EBADF;
	if (in.flags || in.off_in > INT64_MAX || in.off_out > INT64_MAX)
		return -EINVAL;
	int result = handle_no_append(to);
	if (result < 0)
		return result;
	to->inode->told.valid = 0;
	ownership_written(q->share, to->fd);
	q->job.arguments[0] = (int64_t)in.off_in;
	q->job.arguments[1] = (int64_t)in.off_out;
	q->job.arguments[2] = (int64_t)MIN(in.len, (uint64_t)COPY_MAX);
	return request_defer_change(q, run_copy, to->inode, from->fd, to->fd);
}
