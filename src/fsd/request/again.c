/* SPDX-License-Identifier: Apache-2.0
 * Carrying out a request that another process began and did not answer, because it died.
 *
 * Most requests can simply be carried out once more: the guest has no answer yet, so it cannot have
 * built on one, and its buffers are untouched. What the first attempt gave to the guest (a lookup,
 * an open file) is taken back before. The rest decides by operation:
 *
 *   MKDIR MKNOD SYMLINK  a name that is there now, of this type and not older than the attempt, is
 *                        the one that was made
 *   CREATE               the same; a file that was made, and is still empty, is removed and made
 *                        again, since the mode that was asked for may not let it be opened again.
 *                        Without O_EXCL an older one is opened, as asked
 *   LINK                 a name that is there now and is the file that was to be linked
 *   UNLINK RMDIR         a name that is gone, or stands for another file than the attempt found,
 *                        was removed
 *   RENAME               the file that the attempt found under the old name is under the new one,
 *                        and not under the old one
 *   WRITE that appends   what the file grew by since the attempt looked at its size is taken for
 *                        the front of the data
 *   SETXATTR             EEXIST with the very value is success, and so is REMOVEXATTR of one that
 *                        is not there
 *   RELEASE RELEASEDIR   a handle that is gone was closed
 *   FORGET BATCH_FORGET  not again: a record that is forgotten once too seldom costs memory until
 *                        the share is unmounted, one that is forgotten once too often is an error
 *                        in the guest. Lookups of a READDIRPLUS that was not answered stay counted
 *                        for the same reason
 *   FSYNC                Linux tells of a failed write-back once for each open file: if only the
 *                        one that died was told, the guest is not
 *
 * The host can do the same thing to the same name in the same tenth of a second; then it is taken
 * for the guest's. */
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

int again_made(const struct request *q, int directory, const char *name, uint32_t type)
{
	struct statx st;
	if (!q->again || inode_statx(directory, name, &st) < 0)
		return 0;
	return (st.stx_mode & S_IFMT) == type && born(&st) >= q->flight->since_ns - TICK_NS;
}

int again_result(const struct request *q, int result, int directory, const char *name, uint32_t type)
{
	return result == -EEXIST && again_made(q, directory, name, type) ? 0 : result;
}

int again_linked(const struct request *q, int directory, const char *name, const struct inode *file)
{
	struct statx st;
	if (!q->again || inode_statx(directory, name, &st) < 0)
		return 0;
	struct file_id id = file_id_of(&st);
	return file_id_same(&id, &file->id);
}

int again_same_value(const struct request *q, const char *path, const char *name, const void *value, size_t size)
{
	ssize_t n = q->again ? getxattr(path, name, q->share->reply, REPLY_MAX) : -1;
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
