/* SPDX-License-Identifier: Apache-2.0
 * Requests: decoding, the table of operations, and replies.
 *
 * The table enforces a read-only share: an operation that changes anything (MUTATES) fails with
 * EROFS before its handler runs, and OPEN checks its flags itself. While there is a replayer,
 * requests go through the observer (share.h), which keeps the replayer from changing the host. An
 * operation that is not in the table fails with ENOSYS, and Linux does without it (poll, for
 * instance, stays within the guest). */
#include "fsd/request/request.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/files/shared.h"
#include "fsd/request/handlers.h"
#include "fsd/request/pieces.h"

enum {
	NO_REPLY = 1, /* the guest expects no reply, not even an error */
	NO_INODE = 2, /* the header's node id is not used */
	MUTATES = 4,
	HAS_DATA = 8, /* the data after min_size is not copied */
};

enum {
	MAX_BACKGROUND = 64,
	CONGESTION = 48,
	OUR_INIT_FLAGS = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
			 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
			 FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_EXPORT_SUPPORT,
};

static uint32_t init_flags(const struct share *s)
{
	uint32_t locks = s->settings.host_locks ? FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS : 0;
	return OUR_INIT_FLAGS | (s->settings.cache == SHARE_CACHE_WRITEBACK ? FUSE_WRITEBACK_CACHE : 0) | locks;
}

static int fuse_init(struct request *q)
{
	struct fuse_init_in in = { 0 };
	memcpy(&in, q->body, MIN(sizeof in, q->body_size));
	if (in.major < FUSE_KERNEL_VERSION || (in.major == FUSE_KERNEL_VERSION && in.minor < 31))
		return -EPROTO; /* Linux 5.4, the first with virtiofs */
	share_reset(q->share);
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in.max_readahead,
		.flags = in.flags & init_flags(q->share),
		.max_background = MAX_BACKGROUND,
		.congestion_threshold = CONGESTION,
		.max_write = TRANSFER_MAX,
		.time_gran = 1,
		.max_pages = TRANSFER_MAX / 4096,
	};
	SHARED_SET(q->share->state->started, 1);
	return request_reply(q, &out, sizeof out);
}

static int fuse_destroy(struct request *q)
{
	share_reset(q->share);
	return request_reply(q, NULL, 0);
}

/* No ioctl(2) reaches the host. */
static int fuse_ioctl(struct request *q)
{
	return -ENOTTY;
}

static int fuse_interrupt(struct request *q)
{
	return 0; /* Linux's virtiofs sends no INTERRUPT (locks.c) */
}

static const struct operation {
	uint32_t min_size; /* of the body */
	uint32_t flags;
	int (*handle)(struct request *q);
} operations[] = {
	[FUSE_LOOKUP] = { 1, 0, fuse_lookup },
	[FUSE_FORGET] = { sizeof(struct fuse_forget_in), NO_REPLY, fuse_forget },
	[FUSE_GETATTR] = { sizeof(struct fuse_getattr_in), 0, fuse_getattr },
	[FUSE_SETATTR] = { sizeof(struct fuse_setattr_in), MUTATES, fuse_setattr },
	[FUSE_READLINK] = { 0, 0, fuse_readlink },
	[FUSE_SYMLINK] = { 2, MUTATES, fuse_symlink },
	[FUSE_MKNOD] = { sizeof(struct fuse_mknod_in) + 1, MUTATES, fuse_mknod },
	[FUSE_MKDIR] = { sizeof(struct fuse_mkdir_in) + 1, MUTATES, fuse_mkdir },
	[FUSE_UNLINK] = { 1, MUTATES, fuse_unlink },
	[FUSE_RMDIR] = { 1, MUTATES, fuse_rmdir },
	[FUSE_RENAME] = { sizeof(struct fuse_rename_in) + 2, MUTATES, fuse_rename },
	[FUSE_RENAME2] = { sizeof(struct fuse_rename2_in) + 2, MUTATES, fuse_rename2 },
	[FUSE_LINK] = { sizeof(struct fuse_link_in) + 1, MUTATES, fuse_link },
	[FUSE_OPEN] = { sizeof(struct fuse_open_in), 0, fuse_open },
	[FUSE_READ] = { sizeof(struct fuse_read_in), 0, fuse_read },
	[FUSE_WRITE] = { sizeof(struct fuse_write_in), MUTATES | HAS_DATA, fuse_write },
	[FUSE_STATFS] = { 0, 0, fuse_statfs },
	[FUSE_RELEASE] = { sizeof(struct fuse_release_in), 0, fuse_release },
	[FUSE_FSYNC] = { sizeof(struct fuse_fsync_in), 0, fuse_fsync },
	[FUSE_SETXATTR] = { FUSE_COMPAT_SETXATTR_IN_SIZE + 1, MUTATES, fuse_setxattr },
	[FUSE_GETXATTR] = { sizeof(struct fuse_getxattr_in) + 1, 0, fuse_getxattr },
	[FUSE_LISTXATTR] = { sizeof(struct fuse_getxattr_in), 0, fuse_listxattr },
	[FUSE_REMOVEXATTR] = { 1, MUTATES, fuse_removexattr },
	[FUSE_FLUSH] = { sizeof(struct fuse_flush_in), 0, fuse_flush },
	[FUSE_INIT] = { 16, NO_INODE, fuse_init },
	[FUSE_OPENDIR] = { sizeof(struct fuse_open_in), 0, fuse_opendir },
	[FUSE_READDIR] = { sizeof(struct fuse_read_in), 0, fuse_readdir },
	[FUSE_RELEASEDIR] = { sizeof(struct fuse_release_in), 0, fuse_releasedir },
	[FUSE_FSYNCDIR] = { sizeof(struct fuse_fsync_in), 0, fuse_fsyncdir },
	[FUSE_GETLK] = { 0, 0, fuse_getlk },
	[FUSE_SETLK] = { 0, 0, fuse_setlk },
	[FUSE_SETLKW] = { 0, 0, fuse_setlkw },
	[FUSE_ACCESS] = { sizeof(struct fuse_access_in), 0, fuse_access },
	[FUSE_CREATE] = { sizeof(struct fuse_create_in) + 1, MUTATES, fuse_create },
	[FUSE_INTERRUPT] = { 0, NO_REPLY | NO_INODE, fuse_interrupt },
	[FUSE_DESTROY] = { 0, NO_INODE, fuse_destroy },
	[FUSE_IOCTL] = { 0, NO_INODE, fuse_ioctl },
	[FUSE_BATCH_FORGET] = { sizeof(struct fuse_batch_forget_in), NO_REPLY | NO_INODE, fuse_batch_forget },
	[FUSE_FALLOCATE] = { sizeof(struct fuse_fallocate_in), MUTATES, fuse_fallocate },
	[FUSE_READDIRPLUS] = { sizeof(struct fuse_read_in), 0, fuse_readdirplus },
	[FUSE_LSEEK] = { sizeof(struct fuse_lseek_in), 0, fuse_lseek },
	[FUSE_COPY_FILE_RANGE] = { sizeof(struct fuse_copy_file_range_in), MUTATES, fuse_copy_file_range },
	[FUSE_SYNCFS] = { sizeof(struct fuse_syncfs_in), 0, fuse_syncfs },
	[FUSE_TMPFILE] = { sizeof(struct fuse_create_in), MUTATES, fuse_tmpfile },
};

/* --- replies --- */

static int write_header(struct request *q, int error, size_t size)
{
	struct fuse_out_header h = { .len = (uint32_t)(sizeof h + size), .error = error, .unique = q->header.unique };
	if (q->out_space < sizeof h + size)
		return -EIO;
	pieces_copy_to(q->out, q->out_count, 0, &h, sizeof h);
	q->written = sizeof h + size;
	return 0;
}

int request_reply(struct request *q, const void *data, size_t size)
{
	if (q->out_space < sizeof(struct fuse_out_header) + size)
		return -EIO;
	pieces_copy_to(q->out, q->out_count, sizeof(struct fuse_out_header), data, size);
	return write_header(q, 0, size);
}

int request_reply_in_place(struct request *q, size_t size)
{
	return write_header(q, 0, size);
}

/* Linux accepts errors of 1 to 511 from a server. */
static void reply_error(struct request *q, int error)
{
	(void)write_header(q, error > -512 ? error : -EIO, 0);
}

void request_answer(struct request *q, int result)
{
	if (result == 0)
		result = request_reply(q, NULL, 0);
	if (result < 0)
		reply_error(q, result);
}

int request_defer(struct request *q, int64_t (*run)(const struct job *j), int fd, int second)
{
	q->job.run = run;
	q->job.request = q;
	q->job.fds[0] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	q->job.fds[1] = second >= 0 ? fcntl(second, F_DUPFD_CLOEXEC, 0) : -1;
	if (q->job.fds[0] < 0 || (second >= 0 && q->job.fds[1] < 0)) {
		int error = errno;
		fd_close(q->job.fds[0]);
		return -error;
	}
	if (q->share->defer) {
		q->share->defer(q->share, q);
		return REQUEST_LATER;
	}
	q->job.result = run(&q->job);
	request_finish(q);
	return 0;
}

/* Removes q's job from share->changes. */
static void end_change(struct request *q)
{
	struct share *s = q->share;
	struct job_change **p = &s->changes;
	while (*p && *p != &q->change)
		p = &(*p)->next;
	if (!*p)
		return;
	if (s->observer)
		s->observer->job_has_run(s->observer->data);
	*p = q->change.next;
}

int request_defer_change(struct request *q, int64_t (*run)(const struct job *j), const struct inode *changed, int fd,
    int second)
{
	q->change = (struct job_change){ .id = changed->id, .next = q->share->changes };
	q->share->changes = &q->change;
	int result = request_defer(q, run, fd, second);
	if (result < 0)
		end_change(q);
	return result;
}

void request_finish(struct request *q)
{
	struct fuse_write_out out = { .size = (uint32_t)q->job.result };
	int has_count = q->header.opcode == FUSE_COPY_FILE_RANGE, error = (int)MIN(q->job.result, 0);
	fd_close(q->job.fds[0]);
	fd_close(q->job.fds[1]);
	end_change(q);
	if (error == 0 && q->header.opcode == FUSE_READ)
		error = request_reply_in_place(q, (size_t)q->job.result);
	else if (error == 0)
		error = request_reply(q, &out, has_count ? sizeof out : 0);
	if (error < 0)
		reply_error(q, error);
}

/* --- decoding --- */

int request_string(const struct request *q, size_t *offset, const char **ret)
{
	const char *s = q->body + *offset;
	const char *end = *offset < q->body_size ? memchr(s, 0, q->body_size - *offset) : NULL;
	if (!end)
		return -EINVAL;
	*offset += (size_t)(end - s) + 1;
	*ret = s;
	return 0;
}

int request_name(const struct request *q, size_t *offset, const char **ret)
{
	int result = request_string(q, offset, ret);
	if (result < 0)
		return result;
	if (!**ret || strchr(*ret, '/') || streq(*ret, ".") || streq(*ret, ".."))
		return -EINVAL;
	return 0;
}

void request_names(const struct request *q, struct request_names *ret)
{
	static const struct {
		uint8_t count, offset;
	} places[] = {
		[FUSE_LOOKUP] = { 1, 0 },
		[FUSE_SYMLINK] = { 1, 0 },
		[FUSE_MKNOD] = { 1, sizeof(struct fuse_mknod_in) },
		[FUSE_MKDIR] = { 1, sizeof(struct fuse_mkdir_in) },
		[FUSE_UNLINK] = { 1, 0 },
		[FUSE_RMDIR] = { 1, 0 },
		[FUSE_RENAME] = { 2, sizeof(struct fuse_rename_in) },
		[FUSE_LINK] = { 1, sizeof(struct fuse_link_in) },
		[FUSE_CREATE] = { 1, sizeof(struct fuse_create_in) },
		[FUSE_RENAME2] = { 2, sizeof(struct fuse_rename2_in) },
	};
	struct request_names names = { .nodes = { q->header.nodeid } };
	*ret = (struct request_names){ 0 };
	if (q->header.opcode >= ARRAY_SIZE(places))
		return;
	size_t offset = places[q->header.opcode].offset;
	for (; names.count < places[q->header.opcode].count; names.count++)
		if (request_name(q, &offset, &names.names[names.count]) < 0)
			return;
	if (names.count == 2)
		memcpy(&names.nodes[1], q->body,
		    sizeof names.nodes[1]); /* newdir is the first field of both structures */
	*ret = names;
}

struct inode *request_other_inode(const struct request *q)
{
	uint64_t node = 0;
	if (q->header.opcode == FUSE_LINK)
		memcpy(&node, q->body + offsetof(struct fuse_link_in, oldnodeid), sizeof node);
	else if (q->header.opcode == FUSE_COPY_FILE_RANGE)
		memcpy(&node, q->body + offsetof(struct fuse_copy_file_range_in, nodeid_out), sizeof node);
	return inode_find(&q->share->inodes, node);
}

struct handle *request_handle(const struct request *q, uint64_t id)
{
	return handle_find(&q->share->handles, id, q->inode);
}

/* Copies the request out of the guest's memory and finds its operation. 0 or -errno. */
static int decode(struct request *q, const struct operation **ret)
{
	size_t in_size = pieces_size(q->in, q->in_count);
	q->out_space = pieces_size(q->out, q->out_count);
	q->header = (struct fuse_in_header){ 0 };
	if (in_size < sizeof q->header)
		return -EINVAL;
	pieces_copy_from(q->in, q->in_count, 0, &q->header, sizeof q->header);
	if (q->header.len < sizeof q->header || q->header.len > in_size)
		return -EINVAL;
	const struct operation *o = q->header.opcode < ARRAY_SIZE(operations) ? &operations[q->header.opcode] : NULL;
	if (!o || !o->handle)
		return -ENOSYS;
	*ret = o;
	size_t size = q->header.len - sizeof q->header;
	if (size < o->min_size || (!(o->flags & HAS_DATA) && size > REQUEST_BODY_MAX))
		return -EINVAL;
	q->body_size = (o->flags & HAS_DATA) ? o->min_size : size;
	q->body = q->share->body;
	pieces_copy_from(q->in, q->in_count, sizeof q->header, q->share->body, q->body_size);
	return 0;
}

/* Carries a request out without regard to the modes of the host user's files. Root inside may open
 * a file of mode 0444 for writing, and the guest's kernel has allowed it, but the host user may
 * not. Another process's request gets this far only if the host has changed the mode a moment ago,
 * or if it is a root of a user namespace inside (rootless containers, for which shares with records
 * are meant). */
static int carry_out_for_root(struct request *q, const struct operation *o)
{
	const struct share_settings *s = &q->share->settings;
	if ((q->header.uid != 0 && !s->keep_records) || !s->ignore_modes || s->ignore_modes(1) < 0)
		return -EACCES;
	int result = o->handle(q);
	(void)s->ignore_modes(0);
	return result;
}

/* 1 if i's last known name is in an unsearchable directory, else 0. */
static int is_unsearchable(const struct request *q, struct inode *i)
{
	return i && i->type != S_IFDIR && inode_is_unsearchable(&q->share->inodes, i);
}

/* Runs the handler. The last known name of a file may lie in a directory that has become
 * unsearchable, while the guest came by another name. The guest gets ESTALE then, and looks that
 * name up again. */
static int run(struct request *q)
{
	const struct operation *o = &operations[q->header.opcode];
	int result = o->handle(q);
	if (result == -EACCES)
		result = carry_out_for_root(q, o);
	if (result != -EACCES)
		return result;
	return is_unsearchable(q, q->inode) || is_unsearchable(q, request_other_inode(q)) ? -ESTALE : result;
}

static int carry_out(struct request *q, const struct operation *o)
{
	struct share *s = q->share;
	if (!s->state->started && q->header.opcode != FUSE_INIT)
		return -EIO;
	const struct share_observer *watcher = s->observer;
	int replayed = watcher && watcher->is_replayer(q, watcher->data);
	if ((o->flags & MUTATES) && s->settings.read_only && !replayed)
		return -EROFS;
	if (!(o->flags & NO_INODE) && !(q->inode = inode_find(&s->inodes, q->header.nodeid)))
		return -ESTALE;
	if (!watcher)
		return run(q);
	return replayed ? watcher->replay(q, run, !!(o->flags & MUTATES), watcher->data) :
			  watcher->serve(q, run, watcher->data);
}

int request_serve(struct request *q)
{
	const struct operation *o = NULL;
	q->written = 0;
	q->inode = NULL;
	q->own = (struct flight){ 0 };
	if (!q->flight)
		q->flight = &q->own;
	q->is_retry = q->flight->begun;
	int result = decode(q, &o);
	if (result == 0)
		result = ++q->flight->attempts > REQUEST_ATTEMPTS ? -EIO : carry_out(q, o);
	int no_reply =
	    (o && (o->flags & NO_REPLY)) || q->header.opcode == FUSE_FORGET || q->header.opcode == FUSE_BATCH_FORGET;
	if (result == REQUEST_LATER) {
		q->flight->attempts = 0; /* the job is a system call, which cannot kill the worker */
		return REQUEST_LATER;
	}
	if (no_reply)
		q->written = 0;
	else if (result < 0)
		reply_error(q, result);
	if (result == -ESTALE)
		pins_want(&q->share->inodes.pins, q->header.pid);
	inode_table_trim(&q->share->inodes);
	return 0;
}
