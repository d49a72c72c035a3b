/* SPDX-License-Identifier: Apache-2.0
 * Retries: requests that a worker began and did not answer before it died.
 *
 * Most requests can simply run again: the guest has no reply yet, so nothing depends on one, and
 * its buffers are untouched. request_undo() first undoes the lookup and the open file of the
 * earlier attempt. The rest depends on the operation:
 *
 *   MKDIR MKNOD SYMLINK a name that exists now, of this type and not older than the attempt,
 *                        counts as the one that the attempt created
 *   CREATE the same. Such a file, if still empty, is removed and created again,
 *                        because its mode may forbid a second open. Without O_EXCL an older file
 *                        is opened, as requested
 *   LINK success if the name is a link to the file now
 *   UNLINK RMDIR success if the name is gone, or leads to another file than the attempt
 *                        found
 *   RENAME success if the file that the attempt found under the old name is under
 *                        the new one, and not under the old one
 *   WRITE that appends the file's growth since the attempt counts as written data
 *   SETXATTR EEXIST with the same value is success, and so is REMOVEXATTR of a missing
 *                        attribute
 *   RELEASE RELEASEDIR success if the handle is gone
 *   FORGET BATCH_FORGET never repeated. One FORGET too few costs memory until the share is
 *                        unmounted; one too many is an error in the guest. Lookups of an unanswered
 *                        READDIRPLUS stay counted for the same reason
 *   FSYNC Linux reports a failed write-back once for each open file. If the dead
 *                        worker got that report, the guest does not
 *
 * The host can do the same to the same name within the same tenth of a second. That change then
 * counts as the guest's. */
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "fsd/files/shared.h"
#include "fsd/request/handlers.h"

void request_begin(struct request *q)
{
	if (q->flight->begun)
		return;
	q->flight->since_ns = clock_realtime_ns();
	SHARED_SET(q->flight->begun, 1U);
}

void request_begin_with(struct request *q, unsigned which, const struct file_id *id)
{
	if (q->flight->begun)
		return;
	q->flight->found[which] = id != NULL;
	if (id)
		q->flight->ids[which] = *id;
}

static int64_t born(const struct statx *st)
{
	const struct statx_timestamp *t = (st->stx_mask & STATX_BTIME) ? &st->stx_btime : &st->stx_ctime;
	return statx_ns(t);
}

int retry_created(const struct request *q, int directory, const char *name, uint32_t type)
{
	struct statx st;
	if (!q->is_retry || inode_statx(directory, name, &st) < 0)
		return 0;
	return (st.stx_mode & S_IFMT) == type && born(&st) >= q->flight->since_ns - TICK_NS;
}

int retry_result(const struct request *q, int result, int directory, const char *name, uint32_t type)
{
	return result == -EEXIST && retry_created(q, directory, name, type) ? 0 : result;
}

int retry_linked(const struct request *q, int directory, const char *name, const struct inode *file)
{
	struct statx st;
	if (!q->is_retry || inode_statx(directory, name, &st) < 0)
		return 0;
	struct file_id id = file_id_of(&st);
	return file_id_same(&id, &file->id);
}

int retry_same_value(const struct request *q, const char *path, const char *name, const void *value, size_t size)
{
	ssize_t n = q->is_retry ? getxattr(path, name, q->share->reply, REPLY_MAX) : -1;
	return n == (ssize_t)size && memcmp(q->share->reply, value, size) == 0;
}

void request_undo(struct share *s, struct flight *f)
{
	struct handle *h = handle_with_id(&s->handles, f->handle);
	struct inode *i = inode_find(&s->inodes, f->seen);
	SHARED_SET(f->handle, (uint64_t)0);
	if (h)
		handle_free(&s->handles, &s->inodes, h);
	SHARED_SET(f->seen, (uint64_t)0);
	if (i)
		inode_forget(&s->inodes, i, 1);
}
