/* SPDX-License-Identifier: Apache-2.0
 * Open files: open, create, read, write, close. Data moves directly between the file and the
 * guest's memory.
 *
 * Page cache inside. The guest keeps cached data across opens (FOPEN_KEEP_CACHE) only if size,
 * mtime and ctime are the same as at its last open, or at its last close after writing. That state
 * must also be older than a tick of the clock, so that a later change has moved the times. While a
 * file is open, the guest compares mtime and size itself (AUTO_INVAL_DATA), at most
 * attributes_validity() late.
 *
 * Attributes inside. The guest caches attributes for that long. It would read a file that the host
 * has changed in between with the old size. So the server answers the OPEN with ESTALE once. Linux
 * then looks the name up again, gets the new attributes and repeats the OPEN. A file that was saved
 * on the host is there at the next open inside, and unchanged files cost nothing. Attributes of a
 * single shared file are never cached (attributes_validity()).
 *
 * share-cache=writeback. The guest also keeps dirty pages, and its own size and mtime of a file
 * count as long as it has the file. It does not notice the host's changes of that file. To write
 * part of a page it reads the rest, so the server opens files for reading too when the guest opens
 * them for writing. */
#include "fsd/request/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "fsd/files/shared.h"
#include "fsd/request/handlers.h"
#include "fsd/request/ownership.h"
#include "fsd/request/pieces.h"

enum { OPEN_FLAGS = O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC };
enum { REPORTED_JUST_NOW_MS = 20 };

static int open_by_name(struct share *s, struct inode *i, int flags, struct statx *ret)
{
	if (!i->parent)
		return -ESTALE;
	int directory = inode_directory_fd(&s->inodes, i->parent);
	if (directory < 0)
		return directory;
	AUTO_FD int fd = inode_open_name(directory, inode_name(i), (uint64_t)flags, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ELOOP ? -ESTALE : fd;
	int r = inode_statx(fd, "", ret);
	if (r == 0)
		r = inode_check(i, ret);
	return r < 0 ? r : TAKE_FD(fd);
}

/* Opens the file of a descriptor, which may be O_PATH. fd or -errno. */
static int open_held(struct share *s, const struct inode *i, int held, int flags, struct statx *ret)
{
	char path[PROC_PATH_SIZE];
	AUTO_FD int fd = open(share_proc_path(s, held, path), flags);
	if (fd < 0)
		return -errno;
	int r = inode_statx(fd, "", ret);
	if (r == 0)
		r = inode_check(i, ret);
	return r < 0 ? r : TAKE_FD(fd);
}

int file_open(struct share *s, struct inode *i, int flags, struct statx *ret)
{
	if (i->type != S_IFREG)
		return i->type == S_IFDIR ? -EISDIR : i->type == S_IFLNK ? -ELOOP : -ENXIO;
	/* O_NONBLOCK: the name may lead to a FIFO by now, and open(2) must not wait. */
	flags = (flags & OPEN_FLAGS) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	if (i->fd >= 0)
		return open_held(s, i, i->fd, flags, ret);
	int fd = open_by_name(s, i, flags, ret), held = fd < 0 ? pins_find(&s->inodes.pins, i->nodeid) : -1;
	/* In an unsearchable directory, /proc/self/fd inside still leads to open files. */
	if (held < 0 && fd == -EACCES && i->handles)
		held = i->handles->fd;
	return held < 0 ? fd : open_held(s, i, held, flags, ret);
}

static int access_wanted(const struct share *s, int flags)
{
	int writeback = s->settings.cache == SHARE_CACHE_WRITEBACK && (flags & O_ACCMODE) == O_WRONLY;
	return writeback ? (flags & ~O_ACCMODE) | O_RDWR : flags;
}

/* Notes the file's state, which the guest's page cache will have. */
static void cache_note(struct inode *i, const struct statx *st)
{
	int64_t now = clock_realtime_ns(), ctime = statx_ns(&st->stx_ctime);
	i->cached.mtime_ns = statx_ns(&st->stx_mtime);
	i->cached.ctime_ns = ctime;
	i->cached.size = st->stx_size;
	i->cached.valid = now - ctime > TICK_NS;
}

static int cache_is_current(const struct inode *i, const struct statx *st)
{
	return i->cached.valid && i->cached.size == st->stx_size && i->cached.mtime_ns == statx_ns(&st->stx_mtime) &&
	       i->cached.ctime_ns == statx_ns(&st->stx_ctime);
}

/* Makes a handle of fd (taken), whose attributes are st, and fills the reply. 0 or -errno. */
static int open_handle(struct request *q, struct inode *i, int fd, int flags, const struct statx *st,
    struct fuse_open_out *ret)
{
	struct share *s = q->share;
	struct handle *h = handle_new(&s->handles, i, fd, flags & OPEN_FLAGS, &q->flight->handle);
	if (!h) {
		fd_close(fd);
		return -ENFILE;
	}
	*ret = (struct fuse_open_out){ .fh = h->id };
	if (cache_is_current(i, st))
		ret->open_flags |= FOPEN_KEEP_CACHE;
	if (!s->flush_files && !s->settings.host_locks)
		ret->open_flags |= FOPEN_NOFLUSH;
	cache_note(i, st);
	return 0;
}

/* 1 if the guest should look the file up again before it opens it, else 0. Never twice in a row, so
 * that a file that changes all the time can be opened. */
static int is_news(struct inode *i, const struct statx *st)
{
	uint64_t now = clock_now_ms();
	if (i->stale_pending) {
		i->stale_pending--;
		return 0;
	}
	if (!i->told.valid || now - i->told.at_ms < REPORTED_JUST_NOW_MS)
		return 0;
	if (i->told.size == st->stx_size && i->told.mtime_ns == statx_ns(&st->stx_mtime))
		return 0;
	i->stale_pending = 1;
	return 1;
}

static int truncate_opened(struct share *s, struct inode *i, int fd, int flags, struct statx *st)
{
	AUTO_FD int writable = -1;
	if ((flags & O_ACCMODE) == O_RDONLY && (fd = writable = file_open(s, i, O_WRONLY, st)) < 0)
		return fd;
	ownership_written(s, fd);
	return ftruncate(fd, 0) < 0 ? -errno : inode_statx(fd, "", st);
}

int fuse_open(struct request *q)
{
	struct fuse_open_in in;
	struct fuse_open_out out;
	memcpy(&in, q->body, sizeof in);
	int flags = (int)in.flags;
	if (q->share->settings.read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
		return -EROFS;
	struct statx st;
	AUTO_FD int fd = file_open(q->share, q->inode, access_wanted(q->share, flags), &st);
	if (fd == -EACCES && (flags & O_ACCMODE) == O_WRONLY)
		fd = file_open(q->share, q->inode, flags, &st);
	if (fd < 0)
		return fd;
	if (!q->share->settings.file && is_news(q->inode, &st))
		return -ESTALE;
	/* Truncate only now: the file is certainly the right one. */
	int result = (flags & O_TRUNC) ? truncate_opened(q->share, q->inode, fd, flags, &st) : 0;
	if (result == 0)
		result = open_handle(q, q->inode, TAKE_FD(fd), flags, &st, &out);
	if (result == 0 && (flags & O_TRUNC))
		q->inode->told.valid = 0;
	return result < 0 ? result : request_reply(q, &out, sizeof out);
}

/* Replies to CREATE and TMPFILE: the entry, then the handle. Takes fd. The caller has counted the
 * lookup of i, which a failure undoes. */
static int reply_created(struct request *q, struct inode *i, const struct statx *st, int fd, int flags)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	SHARED_SET(q->flight->seen, i->nodeid);
	entry_fill(q->share, i, st, &out.entry);
	int result = open_handle(q, i, fd, flags, st, &out.open);
	if (result == 0)
		result = request_reply(q, &out, sizeof out);
	if (result < 0) {
		SHARED_SET(q->flight->seen, (uint64_t)0);
		inode_forget(&q->share->inodes, i, 1);
	}
	return result;
}

/* Creates a file: fd or -errno. Removes an empty one that an earlier attempt created. If the host
 * has created the name first, the guest does not know that file. Without O_EXCL it gets ESTALE and
 * looks again, so that it follows a symlink and checks permissions. */
static int create_file(struct request *q, int directory, const char *name, uint64_t how, uint32_t mode)
{
	struct statx st;
	request_begin(q);
	int fd = inode_open_name(directory, name, how | O_EXCL, mode_allowed(S_IFREG, mode));
	if ((fd == -EEXIST || fd == -EACCES) && retry_created(q, directory, name, S_IFREG) &&
	    inode_statx(directory, name, &st) == 0 && st.stx_size == 0 && unlinkat(directory, name, 0) == 0)
		fd = inode_open_name(directory, name, how | O_EXCL, mode_allowed(S_IFREG, mode));
	if (fd >= 0)
		ownership_created(q, fd, mode);
	if (fd != -EEXIST || (how & O_EXCL))
		return fd;
	return inode_statx(directory, name, &st) == 0 && share_is_hidden(q->share, &st) ? -EEXIST : -ESTALE;
}

int fuse_create(struct request *q)
{
	struct fuse_create_in in;
	const char *name;
	size_t offset = sizeof in;
	memcpy(&in, q->body, sizeof in);
	int flags = (int)in.flags, result = request_name(q, &offset, &name);
	if (result == 0)
		result = share_check_name(q->share, q->inode, name, HIDDEN_MAKE);
	int directory = result < 0 ? result : inode_directory_fd(&q->share->inodes, q->inode);
	if (directory < 0)
		return directory;
	uint64_t how =
	    (uint64_t)(access_wanted(q->share, flags) & (OPEN_FLAGS | O_EXCL)) | O_CREAT | O_NONBLOCK | O_NOCTTY;
	AUTO_FD int fd = create_file(q, directory, name, how, in.mode);
	if (fd < 0)
		return fd;
	struct statx st;
	struct inode *i;
	result = inode_statx(fd, "", &st);
	if (result == 0)
		result = inode_see(&q->share->inodes, q->inode, name, &st, &i);
	return result < 0 ? result : reply_created(q, i, &st, TAKE_FD(fd), flags);
}

int fuse_tmpfile(struct request *q)
{
	struct fuse_create_in in;
	memcpy(&in, q->body, sizeof in);
	int flags = (int)in.flags, directory = inode_directory_fd(&q->share->inodes, q->inode);
	if (directory < 0)
		return directory;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	uint64_t how = (uint64_t)(access_wanted(q->share, flags) & (OPEN_FLAGS | O_EXCL)) | O_TMPFILE;
	AUTO_FD int fd = inode_open_name(directory, ".", how, mode_allowed(S_IFREG, in.mode));
	if (fd < 0)
		return fd;
	ownership_created(q, fd, in.mode);
	struct statx st;
	struct inode *i;
	AUTO_FD int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int result = kept < 0 ? -errno : inode_statx(fd, "", &st);
	if (result == 0)
		result = inode_see_nameless(&q->share->inodes, kept, &st, &i);
	if (result < 0)
		return result;
	(void)TAKE_FD(kept);
	return reply_created(q, i, &st, TAKE_FD(fd), flags);
}

enum { READING, READING_AT_ONCE, WRITING, APPENDING }; /* at once: -EAGAIN rather than waiting for the disk */

/* Moves up to size bytes between a file and pieces of guest memory, in system calls of IOV_MAX
 * pieces at most. Bytes or -errno. */
static ssize_t transfer(int fd, const struct iovec *pieces, unsigned count, size_t size, off_t offset, int how)
{
	int flags = how == READING_AT_ONCE ? RWF_NOWAIT : how == APPENDING ? RWF_APPEND : 0;
	size_t done = 0;
	while (done < size) {
		struct iovec part[IOV_MAX];
		/* Joined pieces never outnumber the originals, and both fit because a request has
		 * at most REQUEST_PIECES_MAX. */
		struct iovec rest[REQUEST_PIECES_MAX];
		unsigned n = MIN(pieces_slice(pieces, count, done, size - done, rest), (unsigned)IOV_MAX);
		memcpy(part, rest, n * sizeof *part);
		size_t wanted = pieces_size(part, n);
		off_t at = offset + (off_t)done;
		ssize_t moved =
		    how >= WRITING ? pwritev2(fd, part, (int)n, at, flags) : preadv2(fd, part, (int)n, at, flags);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0 && done == 0)
			return -errno;
		if (moved <= 0)
			break;
		done += (size_t)moved;
		if ((size_t)moved < wanted)
			break;
	}
	return (ssize_t)done;
}

static ssize_t read_reply(const struct request *q, int fd, size_t size, off_t offset, int how)
{
	struct iovec pieces[REQUEST_PIECES_MAX];
	unsigned count = pieces_slice(q->out, q->out_count, sizeof(struct fuse_out_header), size, pieces);
	return transfer(fd, pieces, count, size, offset, how);
}

static int64_t run_read(const struct job *j)
{
	return read_reply(j->request, j->fds[0], (size_t)j->arguments[0], j->arguments[1], READING);
}

/* 1 if a read with RWF_NOWAIT returned n (bytes or -errno) because it would have had to wait, else
 * 0. Some file systems do not support the flag. Of those, memory file systems never wait, and
 * network file systems always may. */
static int would_wait(const struct request *q, int fd, ssize_t n, size_t size, off_t offset)
{
	struct stat st;
	if (n < 0)
		return n == -EAGAIN || (n == -EOPNOTSUPP && q->share->flush_files);
	return (size_t)n < size && fstat(fd, &st) == 0 && offset + n < st.st_size;
}

/* Reads data that the host has in memory at once. Otherwise a job reads, so that only its thread
 * waits for the disk. */
int fuse_read(struct request *q)
{
	struct fuse_read_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h || h->inode->type != S_IFREG)
		return -EBADF;
	if (q->out_space < sizeof(struct fuse_out_header) || in.offset > INT64_MAX - TRANSFER_MAX)
		return -EINVAL;
	size_t size = MIN(MIN((size_t)in.size, (size_t)TRANSFER_MAX), q->out_space - sizeof(struct fuse_out_header));
	off_t offset = (off_t)in.offset;
	ssize_t n = read_reply(q, h->fd, size, offset, READING_AT_ONCE);
	if (would_wait(q, h->fd, n, size, offset)) {
		q->job.arguments[0] = (int64_t)size;
		q->job.arguments[1] = offset;
		return request_defer(q, run_read, h->fd, -1);
	}
	if (n == -EOPNOTSUPP)
		n = read_reply(q, h->fd, size, offset, READING);
	return n < 0 ? (int)n : request_reply_in_place(q, (size_t)n);
}

int handle_no_append(struct handle *h)
{
	if (!(h->flags & O_APPEND))
		return 0;
	int flags = fcntl(h->fd, F_GETFL);
	if (flags < 0 || fcntl(h->fd, F_SETFL, flags & ~O_APPEND) < 0)
		return -errno;
	h->flags &= ~O_APPEND;
	return 0;
}

/* The bytes of an append that an earlier attempt has written, or -errno. */
static int64_t appended_before(struct request *q, const struct handle *h)
{
	struct statx st;
	int result = inode_statx(h->fd, "", &st);
	if (result < 0)
		return result;
	if (q->is_retry)
		return MAX((int64_t)st.stx_size - q->flight->size, 0);
	q->flight->size = (int64_t)st.stx_size;
	request_begin(q);
	return 0;
}

int fuse_write(struct request *q)
{
	struct fuse_write_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h || h->inode->type != S_IFREG)
		return -EBADF;
	size_t head = sizeof q->header + sizeof in;
	if (in.size > TRANSFER_MAX || in.size > pieces_size(q->in, q->in_count) - head ||
	    in.offset > INT64_MAX - TRANSFER_MAX)
		return -EINVAL;
	/* Each WRITE says whether it appends, because fcntl(2) can change that after open. */
	int append = !(in.write_flags & FUSE_WRITE_CACHE) && (in.flags & O_APPEND);
	int result = append ? 0 : handle_no_append(h);
	if (result < 0)
		return result;
	int64_t before = append ? appended_before(q, h) : 0;
	if (before < 0)
		return (int)before;
	before = MIN(before, (int64_t)in.size);
	ownership_written(q->share, h->fd);
	struct iovec pieces[REQUEST_PIECES_MAX];
	unsigned count = pieces_slice(q->in, q->in_count, head + (size_t)before, in.size - (size_t)before, pieces);
	ssize_t n =
	    transfer(h->fd, pieces, count, in.size - (size_t)before, (off_t)in.offset, append ? APPENDING : WRITING);
	if (n >= 0 || before > 0)
		n = MAX(n, 0) + before;
	h->inode->told.valid = 0; /* a write expires the guest's attributes */
	struct fuse_write_out out = { .size = (uint32_t)n };
	return n < 0 ? (int)n : request_reply(q, &out, sizeof out);
}

int fuse_release(struct request *q)
{
	struct fuse_release_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h && q->is_retry)
		return request_reply(q, NULL, 0);
	if (!h || h->inode->type == S_IFDIR)
		return -EBADF;
	request_begin(q);
	struct statx st;
	if ((h->flags & O_ACCMODE) != O_RDONLY && inode_statx(h->fd, "", &st) == 0)
		cache_note(h->inode, &st); /* the guest's cache has the data that it wrote */
	locks_release_handle(&q->share->locks, h->id);
	if (in.release_flags & FUSE_RELEASE_FLOCK_UNLOCK) {
		(void)flock(h->fd, LOCK_UN); /* a job may have a copy of the descriptor */
		q->share->locks.released++;
	}
	handle_free(&q->share->handles, &q->share->inodes, h);
	return request_reply(q, NULL, 0);
}

int fuse_lseek(struct request *q)
{
	struct fuse_lseek_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h || h->inode->type != S_IFREG)
		return -EBADF;
	if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
		return -EINVAL;
	/* Dirty pages in the guest would look like a hole, and cp(1) would skip them. With ENOSYS
	 * Linux treats the whole file as data. */
	if (q->share->settings.cache == SHARE_CACHE_WRITEBACK)
		return -ENOSYS;
	off_t at = lseek(h->fd, (off_t)in.offset, (int)in.whence);
	struct fuse_lseek_out out = { .offset = (uint64_t)at };
	return at < 0 ? -errno : request_reply(q, &out, sizeof out);
}
