/* SPDX-License-Identifier: Apache-2.0
 * Names: looking them up and creating them. Each handler uses one directory descriptor and one name
 * without a slash, so no name leads out of the directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/files/shared.h"
#include "fsd/request/handlers.h"
#include "fsd/request/ownership.h"

/* Sets the validity of a name to 0 while an event about it waits: a guest that cached the name
 * would never raise that event. */
static void shorten(const struct share *s, const struct inode *parent, const char *name, struct fuse_entry_out *out)
{
	if (parent->watch && s->observer && s->observer->is_pending(parent->nodeid, name, s->observer->data))
		out->entry_valid = out->entry_valid_nsec = 0;
}

/* Looks a name up. *ret_held is a descriptor of the file while files are being pinned (pins.h),
 * else negative. 0 or -errno. */
static int look(struct share *s, struct inode *parent, const char *name, int hold, struct statx *st, int *ret_held)
{
	int directory = inode_directory_fd(&s->inodes, parent);
	if (directory < 0)
		return directory;
	*ret_held = hold && pins_are_wanted(&s->inodes.pins) ? inode_open_name(directory, name, O_PATH, 0) : -EBADF;
	if (*ret_held == -ENOENT)
		return -ENOENT;
	return *ret_held >= 0 ? inode_statx(*ret_held, "", st) : inode_statx(directory, name, st);
}

int name_see(struct share *s, struct inode *parent, const char *name, struct fuse_entry_out *ret,
    struct inode **ret_inode)
{
	struct statx st;
	struct inode *i;
	AUTO_FD int held = -1;
	int r = look(s, parent, name, ret_inode != NULL, &st, &held);
	if (r < 0)
		return r;
	if (share_is_hidden(s, &st))
		return -ENOENT;
	r = inode_see(&s->inodes, parent, name, &st, &i);
	if (r < 0)
		return r;
	entry_fill(s, i, &st, ret);
	shorten(s, parent, name, ret);
	if (held >= 0) {
		/* The pin serves this lookup alone. The next process must look again, or it could
		 * open a file that has lost the name. */
		ret->entry_valid = ret->entry_valid_nsec = 0;
		inode_hold(&s->inodes, i, TAKE_FD(held));
	}
	if (ret_inode)
		*ret_inode = i;
	inode_hold_directory(&s->inodes, i, ret_inode != NULL);
	return 0;
}

int reply_counted(struct request *q, struct inode *i, const struct fuse_entry_out *out)
{
	SHARED_SET(q->flight->seen, i->nodeid);
	int result = request_reply(q, out, sizeof *out);
	if (result < 0) {
		SHARED_SET(q->flight->seen, (uint64_t)0);
		inode_forget(&q->share->inodes, i, 1);
	}
	return result;
}

/* Replies with the entry of a name. */
static int reply_entry(struct request *q, struct inode *parent, const char *name)
{
	struct fuse_entry_out out;
	struct inode *i;
	int result = name_see(q->share, parent, name, &out, &i);
	if (result < 0)
		return result;
	return reply_counted(q, i, &out);
}

/* Replies to a LOOKUP of "." or "..". The guest sends it for a file that it has by handle and not
 * by name (FUSE_EXPORT_SUPPORT): the agent opens watched files by open_by_handle_at(2). A deleted
 * directory has no "..". */
static int reply_relative(struct request *q, const char *name)
{
	struct inode_table *t = &q->share->inodes;
	struct inode *i = streq(name, ".") || q->inode == t->root ? q->inode : q->inode->parent;
	struct fuse_entry_out out;
	struct statx st;
	int result = i ? inode_stat(t, i, &st) : -ESTALE;
	if (result < 0)
		return result;
	inode_see_again(i);
	entry_fill(q->share, i, &st, &out);
	return reply_counted(q, i, &out);
}

int directory_was_replaced(const struct request *q)
{
	struct share *s = q->share;
	const struct share_observer *o = s->observer;
	struct stat st;
	int fd = inode_directory_fd(&s->inodes, q->inode);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_nlink != 0 || pins_got_stale(&s->inodes.pins, q->header.pid))
		return 0;
	return !o || !o->is_replayer(q, o->data);
}

int fuse_lookup(struct request *q)
{
	const char *name;
	size_t offset = 0;
	int result = request_string(q, &offset, &name);
	if (result == 0 && (streq(name, ".") || streq(name, "..")))
		return reply_relative(q, name);
	offset = 0;
	result = request_name(q, &offset, &name);
	if (result < 0)
		return result;
	result = share_check_name(q->share, q->inode, name, HIDDEN_LOOK);
	if (result == 0)
		result = reply_entry(q, q->inode, name);
	if (result != -ENOENT)
		return result;
	if (directory_was_replaced(q))
		return -ESTALE;
	/* The guest may cache the absence of a name too. */
	struct fuse_entry_out none;
	entry_fill(q->share, NULL, NULL, &none);
	shorten(q->share, q->inode, name, &none);
	return request_reply(q, &none, sizeof none);
}

int fuse_forget(struct request *q)
{
	struct fuse_forget_in in;
	memcpy(&in, q->body, sizeof in);
	if (q->is_retry)
		return 0;
	request_begin(q);
	inode_forget(&q->share->inodes, q->inode, in.nlookup);
	return 0;
}

int fuse_batch_forget(struct request *q)
{
	struct fuse_batch_forget_in in;
	memcpy(&in, q->body, sizeof in);
	if (q->is_retry)
		return 0;
	request_begin(q);
	for (size_t n = 0; n < in.count; n++) {
		struct fuse_forget_one one;
		if (sizeof in + (n + 1) * sizeof one > q->body_size)
			return -EINVAL;
		memcpy(&one, q->body + sizeof in + n * sizeof one, sizeof one);
		struct inode *i = inode_find(&q->share->inodes, one.nodeid);
		if (i)
			inode_forget(&q->share->inodes, i, one.nlookup);
	}
	return 0;
}

int fuse_readlink(struct request *q)
{
	char target[PATH_MAX];
	AUTO_FD int owned = -1;
	if (q->inode->type != S_IFLNK)
		return -EINVAL;
	int fd = inode_path_fd(&q->share->inodes, q->inode, &owned);
	if (fd < 0)
		return fd;
	ssize_t n = readlinkat(fd, "", target, sizeof target);
	return n < 0 ? -errno : request_reply(q, target, (size_t)n);
}

/* Checks a new name, and returns the descriptor of its directory (borrowed), or -errno. */
static int place_for(struct request *q, size_t *offset, const char **ret_name, enum hidden_use use)
{
	int result = request_name(q, offset, ret_name);
	if (result == 0)
		result = share_check_name(q->share, q->inode, *ret_name, use);
	return result < 0 ? result : inode_directory_fd(&q->share->inodes, q->inode);
}

int fuse_symlink(struct request *q)
{
	const char *name, *target;
	size_t offset = 0;
	int directory = place_for(q, &offset, &name, HIDDEN_MAKE);
	int result = directory < 0 ? directory : request_string(q, &offset, &target);
	if (result < 0)
		return result;
	request_begin(q);
	result = retry_result(q, symlinkat(target, directory, name) < 0 ? -errno : 0, directory, name, S_IFLNK);
	return result < 0 ? result : reply_entry(q, q->inode, name);
}

int fuse_mknod(struct request *q)
{
	struct fuse_mknod_in in;
	const char *name;
	size_t offset = sizeof in;
	memcpy(&in, q->body, sizeof in);
	uint32_t type = (in.mode & S_IFMT) ? in.mode & S_IFMT : S_IFREG;
	/* The guest creates no devices on the host. Device 0:0 is a whiteout of overlayfs, and is
	 * allowed in a share that keeps records, which is meant for containers' storage. */
	int whiteout = type == S_IFCHR && in.rdev == 0 && q->share->settings.keep_records;
	if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && !whiteout)
		return -EPERM;
	int directory = place_for(q, &offset, &name, HIDDEN_MAKE);
	if (directory < 0)
		return directory;
	request_begin(q);
	int result = mknodat(directory, name, type | mode_allowed(type, in.mode), 0) < 0 ? -errno : 0;
	result = retry_result(q, result, directory, name, type);
	if (result == 0)
		ownership_created_name(q, directory, name, in.mode);
	return result < 0 ? result : reply_entry(q, q->inode, name);
}

int fuse_mkdir(struct request *q)
{
	struct fuse_mkdir_in in;
	const char *name;
	size_t offset = sizeof in;
	memcpy(&in, q->body, sizeof in);
	int directory = place_for(q, &offset, &name, HIDDEN_MAKE_DIRECTORY);
	if (directory < 0)
		return directory;
	request_begin(q);
	int result = mkdirat(directory, name, mode_allowed(S_IFDIR, in.mode)) < 0 ? -errno : 0;
	result = retry_result(q, result, directory, name, S_IFDIR);
	if (result == 0)
		ownership_created_name(q, directory, name, in.mode);
	return result < 0 ? result : reply_entry(q, q->inode, name);
}

int fuse_link(struct request *q)
{
	struct fuse_link_in in;
	const char *name;
	size_t offset = sizeof in;
	memcpy(&in, q->body, sizeof in);
	struct inode *from = inode_find(&q->share->inodes, in.oldnodeid);
	if (!from)
		return -ESTALE;
	if (from->type == S_IFDIR)
		return -EPERM;
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int fd = inode_path_fd(&q->share->inodes, from, &owned);
	int directory = fd < 0 ? fd : place_for(q, &offset, &name, HIDDEN_MAKE);
	if (directory < 0)
		return directory;
	/* By descriptor: exactly this file, under whatever name. */
	request_begin(q);
	int result =
	    linkat(AT_FDCWD, share_proc_path(q->share, fd, path), directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	if (result < 0 && !(result == -EEXIST && retry_linked(q, directory, name, from)))
		return result;
	return reply_entry(q, q->inode, name);
}
