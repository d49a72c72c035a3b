/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes. The guest sees and sets the user's own ("user.*"), except holm's records
 * ("user.holm.*"). All others (file capabilities, ACLs, security labels) are "not supported", as on
 * a file system without them: the host's stay invisible, and root inside can set none on the
 * host. */
#include <errno.h>
#include <strings.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "fsd/files/record.h"
#include "fsd/request/handlers.h"

/* The path for the system calls on the file's attributes. 0 or -errno. The caller closes *owned. */
static int attribute_path(struct request *q, char path[PROC_PATH_SIZE], int *owned)
{
	int fd = inode_reach(&q->share->inodes, q->inode, owned);
	if (fd < 0)
		return fd;
	share_proc_path(q->share, fd, path);
	return 0;
}

/* 1 if the name is one of holm's records, else 0. Some file systems (CIFS, ntfs3) ignore case. */
static int is_kept(const char *name)
{
	return strncasecmp(name, RECORD_PREFIX, strlen(RECORD_PREFIX)) == 0;
}

static int attribute_name(const struct request *q, size_t *offset, const char **ret)
{
	int result = request_string(q, offset, ret);
	if (result < 0)
		return result;
	if (is_kept(*ret))
		return -ENODATA;
	if (startswith(*ret, "user."))
		return 0;
	/* Linux requests this one at each exec and each write. */
	return streq(*ret, "security.capability") ? -ENODATA : -EOPNOTSUPP;
}

int fuse_setxattr(struct request *q)
{
	struct fuse_setxattr_in in = { 0 };
	const char *name = "";
	size_t offset = FUSE_COMPAT_SETXATTR_IN_SIZE;
	memcpy(&in, q->body, FUSE_COMPAT_SETXATTR_IN_SIZE);
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int result = attribute_name(q, &offset, &name);
	if (result < 0)
		return is_kept(name) ? -EPERM : -EOPNOTSUPP;
	if (in.size > q->body_size - offset)
		return -EINVAL;
	result = attribute_path(q, path, &owned);
	if (result < 0)
		return result;
	request_begin(q);
	result = setxattr(path, name, q->body + offset, in.size, (int)in.flags) < 0 ? -errno : 0;
	if (result == -EEXIST && retry_same_value(q, path, name, q->body + offset, in.size))
		result = 0;
	return result < 0 ? result : request_reply(q, NULL, 0);
}

/* Replies with the value or list of `size` bytes in share->reply, or with its size if the guest
 * asked with 0. */
static int reply_sized(struct request *q, size_t size, uint32_t asked)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)size };
	if (asked == 0)
		return request_reply(q, &out, sizeof out);
	return size > asked ? -ERANGE : request_reply(q, q->share->reply, size);
}

int fuse_getxattr(struct request *q)
{
	struct fuse_getxattr_in in;
	const char *name;
	size_t offset = sizeof in;
	memcpy(&in, q->body, sizeof in);
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int result = attribute_name(q, &offset, &name);
	if (result == 0)
		result = attribute_path(q, path, &owned);
	if (result < 0)
		return result;
	ssize_t n = getxattr(path, name, q->share->reply, REPLY_MAX);
	return n < 0 ? -errno : reply_sized(q, (size_t)n, in.size);
}

int fuse_listxattr(struct request *q)
{
	struct fuse_getxattr_in in;
	memcpy(&in, q->body, sizeof in);
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE], *list = q->share->reply;
	int result = attribute_path(q, path, &owned);
	if (result < 0)
		return result;
	ssize_t n = listxattr(path, list, REPLY_MAX);
	if (n < 0)
		return -errno;
	size_t kept = 0;
	for (size_t at = 0, length; at < (size_t)n; at += length) {
		length = strnlen(list + at, (size_t)n - at) + 1;
		if (!startswith(list + at, "user.") || is_kept(list + at))
			continue;
		memmove(list + kept, list + at, length);
		kept += length;
	}
	return reply_sized(q, kept, in.size);
}

int fuse_removexattr(struct request *q)
{
	const char *name;
	size_t offset = 0;
	AUTO_FD int owned = -1;
	char path[PROC_PATH_SIZE];
	int result = attribute_name(q, &offset, &name);
	if (result == 0)
		result = attribute_path(q, path, &owned);
	if (result < 0)
		return result;
	request_begin(q);
	result = removexattr(path, name) < 0 ? -errno : 0;
	return result < 0 && !(result == -ENODATA && q->is_retry) ? result : request_reply(q, NULL, 0);
}
