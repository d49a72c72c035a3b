/* SPDX-License-Identifier: Apache-2.0
 * Locks on the host (share-locks=host). Without that setting the guest's kernel handles all locks
 * itself, and none of these requests come.
 *
 * flock(2) locks belong to an open file, and each open file of the guest has a descriptor here.
 * fcntl(2) locks belong to a process, whose own locks never conflict. The processes inside do not
 * exist on the host. So each owner gets its own descriptor of the file, with open-file-description
 * locks (F_OFD_SETLK). The guest reports the end of an owner's locks: by an unlock, a close (FLUSH)
 * or the last close (RELEASE). Its kernel does the same when a process exits.
 *
 * Waiting. Nothing here blocks in the kernel. The request waits in a queue (share.h, wait). The
 * server tries it again when this guest releases a lock, and from time to time, because the host's
 * releases raise no event. The guest's driver cannot interrupt a request, so a waiting process
 * cannot be killed until it has the lock. Deadlocks are not detected. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/request/handlers.h"

static int is_valid(const struct fuse_file_lock *l)
{
	return (l->type == F_RDLCK || l->type == F_WRLCK || l->type == F_UNLCK) && l->start <= l->end &&
	       l->end <= INT64_MAX;
}

static struct flock range_of(const struct fuse_file_lock *l)
{
	off_t start = (off_t)l->start;
	return (struct flock){
		.l_type = (short)l->type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = l->end == INT64_MAX ? 0 : (off_t)l->end - start + 1,
	};
}

/* Opens a descriptor for an owner's locks: fd or -errno. A write lock needs a descriptor that is
 * open for writing, and the owner may request one later. If none can be had then, it gets
 * ENOLCK. */
static int open_for_locks(struct share *s, const struct handle *h, const struct fuse_file_lock *l)
{
	char path[PROC_PATH_SIZE];
	int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd = -1;
	share_proc_path(s, h->fd, path);
	int read_only = s->settings.read_only;
	if (!read_only)
		fd = open(path, O_RDWR | flags);
	if (fd < 0)
		fd = open(path, (l->type == F_WRLCK && !read_only ? O_WRONLY : O_RDONLY) | flags);
	return fd < 0 ? -errno : fd;
}

static struct lock_owner *find_or_make(struct request *q, const struct handle *h, int *ret_made, int *ret_error)
{
	struct lock_table *t = &q->share->locks;
	struct lock_owner *o = lock_owner_find(t, h->nodeid, q->lock.owner);
	*ret_made = !o;
	if (o)
		return o;
	AUTO_FD int fd = open_for_locks(q->share, h, &q->lock.lk);
	*ret_error = fd < 0 ? fd : -ENOLCK;
	o = fd < 0 ? NULL : lock_owner_new(t, h->nodeid, q->lock.owner, h->id, fd);
	if (o)
		(void)TAKE_FD(fd);
	return o;
}

static int set_range(struct request *q, const struct handle *h)
{
	struct lock_table *t = &q->share->locks;
	struct flock range = range_of(&q->lock.lk);
	int made, error = 0;
	if (range.l_type == F_UNLCK) {
		struct lock_owner *o = lock_owner_find(t, h->nodeid, q->lock.owner);
		if (o && range.l_start == 0 && range.l_len == 0)
			lock_owner_free(t, o);
		else if (o && fcntl(o->fd, F_OFD_SETLK, &range) < 0)
			return -errno;
		t->released++;
		return 0;
	}
	struct lock_owner *o = find_or_make(q, h, &made, &error);
	if (!o)
		return error;
	if (fcntl(o->fd, F_OFD_SETLK, &range) < 0) {
		error = errno == EACCES ? -EAGAIN : errno == EBADF ? -ENOLCK : -errno;
		if (made &&
		    q->header.opcode != FUSE_SETLKW) /* a waiting request keeps the owner for its next attempt */
			lock_owner_free(t, o);
		return error;
	}
	o->pid = q->lock.lk.pid;
	o->handle = h->id;
	t->released += range.l_type == F_RDLCK; /* it may have replaced a write lock */
	return 0;
}

static int set_whole(struct request *q, const struct handle *h)
{
	int how = q->lock.lk.type == F_UNLCK ? LOCK_UN : q->lock.lk.type == F_RDLCK ? LOCK_SH : LOCK_EX;
	if (flock(h->fd, how | LOCK_NB) < 0)
		return -errno;
	q->share->locks.released += how != LOCK_EX;
	return 0;
}

/* Copies and checks the request, and finds its handle. 0 or -errno. */
static int take_request(struct request *q, struct handle **ret)
{
	if (!q->share->locks.records)
		return -ENOSYS;
	if (q->body_size < sizeof q->lock)
		return -EINVAL;
	memcpy(&q->lock, q->body, sizeof q->lock);
	*ret = request_handle(q, q->lock.fh);
	if (!*ret || (*ret)->inode->type != S_IFREG)
		return -EBADF;
	return is_valid(&q->lock.lk) ? 0 : -EINVAL;
}

static int set_lock(struct request *q, const struct handle *h)
{
	h->inode->locked = 1;
	return (q->lock.lk_flags & FUSE_LK_FLOCK) ? set_whole(q, h) : set_range(q, h);
}

int fuse_setlk(struct request *q)
{
	struct handle *h;
	int result = take_request(q, &h);
	if (result == 0)
		result = set_lock(q, h);
	return result < 0 ? result : request_reply(q, NULL, 0);
}

int fuse_setlkw(struct request *q)
{
	struct handle *h;
	int result = take_request(q, &h);
	if (result == 0)
		result = set_lock(q, h);
	if (result == -EAGAIN)
		return q->share->wait ? q->share->wait(q->share, q) : -EAGAIN;
	return result < 0 ? result : request_reply(q, NULL, 0);
}

int request_try_lock(struct request *q, int last)
{
	q->inode = inode_find(&q->share->inodes, q->header.nodeid);
	struct handle *h = q->inode ? request_handle(q, q->lock.fh) : NULL;
	int result = h ? set_lock(q, h) : -EBADF;
	if (result == -EAGAIN && !last)
		return -EAGAIN;
	request_answer(q, result == -EAGAIN ? -ENOLCK : result);
	return 0;
}

/* The process inside that holds a conflicting lock; 0 when a process of the host holds it. */
static uint32_t holder_of(struct lock_table *t, uint64_t nodeid, struct flock range)
{
	range.l_type = F_WRLCK;
	range.l_pid = 0;
	for (uint32_t n = 0; n < t->records->used; n++) {
		struct lock_owner *o = &t->records->items[n];
		struct flock other = range;
		if (o->handle && o->nodeid == nodeid && fcntl(o->fd, F_OFD_GETLK, &other) == 0 &&
		    other.l_type == F_UNLCK)
			return o->pid; /* no conflict for this owner: the lock is its own */
	}
	return 0;
}

int fuse_getlk(struct request *q)
{
	struct handle *h;
	int result = take_request(q, &h);
	if (result < 0)
		return result;
	struct lock_owner *o = lock_owner_find(&q->share->locks, h->nodeid, q->lock.owner);
	struct flock range = range_of(&q->lock.lk);
	struct fuse_lk_out out = { .lk = { .type = F_UNLCK } };
	if (range.l_type == F_UNLCK)
		return -EINVAL;
	if (fcntl(o ? o->fd : h->fd, F_OFD_GETLK, &range) < 0)
		return -errno;
	if (range.l_type != F_UNLCK) {
		uint64_t start = (uint64_t)range.l_start;
		out.lk = (struct fuse_file_lock){
			.start = start,
			.end = range.l_len ? start + (uint64_t)range.l_len - 1 : INT64_MAX,
			.type = (uint32_t)range.l_type,
			.pid = holder_of(&q->share->locks, h->nodeid, range),
		};
	}
	return request_reply(q, &out, sizeof out);
}

void locks_flush(struct share *s, uint64_t nodeid, uint64_t owner)
{
	struct lock_owner *o = s->locks.records ? lock_owner_find(&s->locks, nodeid, owner) : NULL;
	if (o)
		lock_owner_free(&s->locks, o);
}
