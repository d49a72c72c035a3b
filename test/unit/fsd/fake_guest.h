/* SPDX-License-Identifier: Apache-2.0
 * A guest made of memory: builds FUSE requests as the kernel does, gives them to request_serve()
 * and takes the reply apart. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "fsd/request/handlers.h"

enum { INSIDE_UID = 4242, INSIDE_GID = 4243, REPLY_SIZE = 1 << 17 };

struct fake {
	struct share share;
	char *path; /* of the shared directory */
	int directory;
	unsigned max_fds;       /* 0: few */
	uint32_t uid, gid, pid; /* inside, of who asks */
	int host_locks;
	_Alignas(16) char reply[REPLY_SIZE]; /* behind the header */
	size_t reply_size;
};

/* Any bytes as one argument of a request. */
struct part {
	const void *data;
	size_t size;
};
#define PART(value)                                                                                                    \
	(struct part)                                                                                                  \
	{                                                                                                              \
		&(value), sizeof(value)                                                                                \
	}
#define TEXT(s)                                                                                                        \
	(struct part)                                                                                                  \
	{                                                                                                              \
		(s), strlen(s) + 1                                                                                     \
	}
#define NONE                                                                                                           \
	(struct part)                                                                                                  \
	{                                                                                                              \
		NULL, 0                                                                                                \
	}

/* The error (0 or negative) of one operation; -1000 when there was no reply. */
static inline int fuse3(struct fake *f, uint32_t opcode, uint64_t nodeid, struct part a, struct part b, struct part c)
{
	size_t size = sizeof(struct fuse_in_header) + a.size + b.size + c.size;
	char *in = xmalloc(size), *out = xmalloc(REPLY_SIZE);
	struct fuse_in_header h = {
		.len = (uint32_t)size,
		.opcode = opcode,
		.unique = 77,
		.nodeid = nodeid,
		.uid = f->uid,
		.gid = f->gid,
		.pid = f->pid,
	};
	memcpy(in, &h, sizeof h);
	if (a.size)
		memcpy(in + sizeof h, a.data, a.size);
	if (b.size)
		memcpy(in + sizeof h + a.size, b.data, b.size);
	if (c.size)
		memcpy(in + sizeof h + a.size + b.size, c.data, c.size);
	/* Awkward pieces: nothing may depend on how the guest cuts its buffers. */
	struct iovec ins[2] = { { in, 7 }, { in + 7, size - 7 } },
		     outs[3] = { { out, 3 }, { out + 3, 50 }, { out + 53, REPLY_SIZE - 53 } };
	struct request q = { .share = &f->share, .in = ins, .in_count = 2, .out = outs, .out_count = 3 };
	int served = request_serve(&q);
	assert_int_equal(served, f->share.defer && q.job.run ? REQUEST_LATER : 0);
	int error = -1000;
	f->reply_size = 0;
	if (q.written) {
		struct fuse_out_header o;
		memcpy(&o, out, sizeof o);
		assert_int_equal(o.unique, 77);
		assert_int_equal(o.len, q.written);
		error = o.error;
		f->reply_size = q.written - sizeof o;
		memcpy(f->reply, out + sizeof o, f->reply_size);
		if (error)
			assert_int_equal(f->reply_size, 0);
	}
	free(in);
	free(out);
	return error;
}

static inline int fuse(struct fake *f, uint32_t opcode, uint64_t nodeid, struct part a)
{
	return fuse3(f, opcode, nodeid, a, NONE, NONE);
}

#define REPLY(f, type) (assert_int_equal((f)->reply_size, sizeof(type)), (const type *)(const void *)(f)->reply)

static inline void fake_start(struct fake *f, int read_only)
{
	struct share_settings settings = {
		.read_only = read_only,
		.host_locks = f->host_locks,
		.inside_uid = INSIDE_UID,
		.inside_gid = INSIDE_GID,
		.host_uid = geteuid(),
		.host_gid = getegid(),
		.max_inodes = 1000,
		.max_fds = f->max_fds ? f->max_fds : 64,
		.proc_prefix = "/proc/self/fd/",
	};
	int root = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(share_init(&f->share, &settings, root, NULL), 0);
	struct fuse_init_in in = { .major = 7, .minor = 36, .max_readahead = 131072, .flags = UINT32_MAX };
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0);
}

static inline struct fake *fake_new(void)
{
	struct fake *f = xnew(struct fake);
	f->path = folder_new();
	f->directory = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	umask(0);
	return f;
}

static inline void fake_free(struct fake *f)
{
	if (f->share.body)
		share_done(&f->share);
	close(f->directory);
	folder_remove(f->path);
	free(f);
}

static inline void host_write(struct fake *f, const char *name, const char *text)
{
	AUTO_FD int fd = openat(f->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

static inline void host_read(struct fake *f, const char *name, char *to, size_t size)
{
	AUTO_FD int fd = openat(f->directory, name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = fd_read_full(fd, to, size - 1);
	assert_true(n >= 0);
	to[n] = 0;
}

static inline struct stat host_stat(struct fake *f, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(f->directory, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

/* Whether a file's last change is too fresh for the server to be sure of it. Between a change and
 * the next request a busy host may let a test stand still for longer. */
static inline int host_is_fresh(struct fake *f, const char *name)
{
	struct stat st = host_stat(f, name);
	return clock_realtime_ns() - (int64_t)st.st_ctim.tv_sec * 1000000000 - st.st_ctim.tv_nsec <= TICK_NS;
}

/* The node id of a name, 0 when there is none. */
static inline uint64_t lookup(struct fake *f, uint64_t parent, const char *name)
{
	int r = fuse(f, FUSE_LOOKUP, parent, TEXT(name));
	assert_int_equal(r, 0);
	return REPLY(f, struct fuse_entry_out)->nodeid;
}

static inline int open_file(struct fake *f, uint64_t node, int flags, uint64_t *ret)
{
	struct fuse_open_in in = { .flags = (uint32_t)flags };
	int r = fuse(f, FUSE_OPEN, node, PART(in));
	if (r == 0)
		*ret = REPLY(f, struct fuse_open_out)->fh;
	return r;
}
