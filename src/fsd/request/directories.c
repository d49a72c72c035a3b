/* SPDX-License-Identifier: Apache-2.0
 * Directories. The guest's offsets are the host file system's own cookies, so a directory can
 * change while it is read, as on the host. The guest reads a page at a time. getdents64(2) returns
 * more, and a buffer keeps the rest for the next request (handle.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/request/handlers.h"

int fuse_opendir(struct request *q)
{
	struct fuse_open_in in;
	memcpy(&in, q->body, sizeof in);
	if ((in.flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	char path[PROC_PATH_SIZE];
	int directory = inode_directory_fd(&q->share->inodes, q->inode);
	if (directory < 0)
		return directory;
	if (directory_was_replaced(q))
		return -ESTALE;
	/* Opening "." would need the right to search the directory, and /proc does not. */
	int fd = open(share_proc_path(q->share, directory, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct handle *h = handle_new(&q->share->handles, q->inode, fd, O_RDONLY, &q->flight->handle);
	if (!h) {
		fd_close(fd);
		return -ENFILE;
	}
	struct fuse_open_out out = { .fh = h->id };
	return request_reply(q, &out, sizeof out);
}

int fuse_releasedir(struct request *q)
{
	struct fuse_release_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h && q->is_retry)
		return request_reply(q, NULL, 0);
	if (!h || h->inode->type != S_IFDIR)
		return -EBADF;
	request_begin(q);
	handle_free(&q->share->handles, &q->share->inodes, h);
	return request_reply(q, NULL, 0);
}

/* Linux reports ENOENT for reading a removed directory. Some file systems (ext4) refuse to seek in
 * it first, with EINVAL. */
static int seek_error(const struct handle *h, int error)
{
	struct stat st;
	return error == EINVAL && fstat(h->fd, &st) == 0 && st.st_nlink == 0 ? -ENOENT : -error;
}

/* Fills b from the offset on, unless it is there already. 1: it has an entry; 0: the directory
 * ends; -errno. */
static int fill_buffer(struct handle *h, struct directory_buffer *b, int64_t offset)
{
	if (h->position != offset) {
		if (lseek(h->fd, offset, SEEK_SET) < 0)
			return seek_error(h, errno);
		h->position = offset;
		b->start = b->end = 0;
	}
	if (b->start == b->end) {
		ssize_t n = getdents64(h->fd, b->data, DIRECTORY_BUFFER_SIZE);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		b->start = 0;
		b->end = (size_t)n;
	}
	return 1;
}

static int is_dot(const char *name)
{
	return streq(name, ".") || streq(name, "..");
}

/* Adds an entry to the reply. Its size; 0 when it does not fit; -ENOENT when it is hidden. */
static int add_entry(struct request *q, const struct dirent64 *d, char *to, size_t room, int plus)
{
	size_t length = strlen(d->d_name), head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t size = FUSE_DIRENT_ALIGN(head + length);
	if (size > room)
		return 0;
	struct fuse_direntplus e = {.dirent = {.ino = attributes_number(q->share, q->inode->id.dev, d->d_ino),
					    .off = (uint64_t)d->d_off,
					    .namelen = (uint32_t)length,
					    .type = d->d_type,},};
	if (is_dot(d->d_name)) {
		/* The root's ".." is the root: the guest learns nothing of directories above. */
		const struct inode *of = d->d_name[1] && q->inode->parent ? q->inode->parent : q->inode;
		e.dirent.ino = attributes_number(q->share, of->id.dev, of->id.ino);
	} else if (share_check_name(q->share, q->inode, d->d_name, HIDDEN_LOOK) < 0)
		return -ENOENT;
	else if (plus) {
		int result = name_see(q->share, q->inode, d->d_name, &e.entry_out, NULL);
		if (result == -ENOENT)
			return -ENOENT; /* removed since, or hidden */
		if (result < 0)
			e.entry_out = (struct fuse_entry_out){ 0 }; /* the name alone */
	}
	memset(to, 0, size);
	if (plus)
		memcpy(to, &e, FUSE_NAME_OFFSET_DIRENTPLUS);
	else
		memcpy(to, &e.dirent, FUSE_NAME_OFFSET);
	memcpy(to + head, d->d_name, length);
	return (int)size;
}

static int read_directory(struct request *q, int plus)
{
	struct fuse_read_in in;
	memcpy(&in, q->body, sizeof in);
	struct handle *h = request_handle(q, in.fh);
	if (!h || h->inode->type != S_IFDIR)
		return -EBADF;
	if (q->out_space < sizeof(struct fuse_out_header))
		return -EINVAL;
	size_t room = MIN(MIN((size_t)in.size, (size_t)REPLY_MAX), q->out_space - sizeof(struct fuse_out_header)),
	       used = 0;
	struct directory_buffer *b = handle_buffer(&q->share->handles, h);
	int64_t offset = (int64_t)in.offset;
	int result;
	while ((result = fill_buffer(h, b, offset)) > 0) {
		const struct dirent64 *d = (const struct dirent64 *)(b->data + b->start);
		int size = add_entry(q, d, q->share->reply + used, room - used, plus);
		if (size == 0)
			break;
		used += size > 0 ? (size_t)size : 0;
		b->start += d->d_reclen;
		offset = h->position = d->d_off;
	}
	if (result < 0 && used == 0)
		return result;
	return request_reply(q, q->share->reply, used);
}

int fuse_readdir(struct request *q)
{
	return read_directory(q, 0);
}

int fuse_readdirplus(struct request *q)
{
	return read_directory(q, 1);
}
