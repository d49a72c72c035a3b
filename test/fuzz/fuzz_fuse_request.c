/* SPDX-License-Identifier: Apache-2.0
 * FUSE requests, one after the other, on a small directory of its own. Node ids and handles are
 * taken from the replies, so that inputs get somewhere; some of the files change on the host
 * meanwhile. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/folder.h"
#include "base/alloc.h"
#include "base/path.h"
#include "fsd/request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KNOWN = 8, OUT_MAX = 8192 };

struct known {
	uint64_t nodes[KNOWN], handles[KNOWN];
	unsigned node_count, handle_count;
};

static char *prepare(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	setrlimit(RLIMIT_FSIZE, &limit); /* no input fills the disk */
	signal(SIGXFSZ, SIG_IGN);
	char *directory = folder_new();
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = openat(fd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (write(file, "content", 7) < 0 || mkdirat(fd, "d", 0755) < 0 || mkdirat(fd, "d/h", 0755) < 0 ||
	    symlinkat("/etc", fd, "l") < 0)
		abort();
	close(file);
	close(fd);
	return directory;
}

/* Remembers what a reply gave, whatever it was a reply to. */
static void learn(struct known *k, const struct request *q, const char *out)
{
	if (q->header.opcode == FUSE_OPEN || q->header.opcode == FUSE_OPENDIR)
		memcpy(&k->handles[k->handle_count++ % KNOWN], out + sizeof(struct fuse_out_header), 8);
	else
		memcpy(&k->nodes[k->node_count++ % KNOWN], out + sizeof(struct fuse_out_header), 8);
	if (q->header.opcode == FUSE_CREATE)
		memcpy(&k->handles[k->handle_count++ % KNOWN],
		    out + sizeof(struct fuse_out_header) + sizeof(struct fuse_entry_out), 8);
}

/* One request of {opcode, node and handle to use, size of the reply, size, body}: bytes used. */
static size_t serve(struct share *s, struct known *k, const uint8_t *data, size_t size)
{
	size_t body = MIN(size - 4, (size_t)data[3]), in_size = sizeof(struct fuse_in_header) + body,
	       out_size = (size_t)data[2] * 32;
	struct fuse_in_header h = { .len = (uint32_t)in_size, .opcode = data[0], .unique = 1 };
	h.nodeid = (data[1] & 15) < KNOWN ? k->nodes[data[1] & 7] : data[1] & 7;
	char *in = xmalloc(in_size), *out = xmalloc(OUT_MAX);
	memcpy(in, &h, sizeof h);
	memcpy(in + sizeof h, data + 4, body);
	if ((data[1] & 128) && body >= 8)
		memcpy(in + sizeof h, &k->handles[data[1] >> 4 & 7], 8);
	struct iovec ins[2] = { { in, in_size / 2 }, { in + in_size / 2, in_size - in_size / 2 } };
	struct iovec outs[2] = { { out, out_size / 3 }, { out + out_size / 3, out_size - out_size / 3 } };
	struct request q = { .share = s, .in = ins, .in_count = 2, .out = outs, .out_count = 2 };
	if (data[0] != FUSE_SYNCFS && data[0] != FUSE_FSYNC && data[0] != FUSE_FSYNCDIR) /* the disk's business */
		request_serve(&q);
	if (q.written > out_size)
		abort();
	if (q.written >= sizeof(struct fuse_out_header) + 8)
		learn(k, &q, out);
	free(in);
	free(out);
	return 4 + body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct known k = { .nodes = { FUSE_ROOT_ID } };
	struct share_settings settings = {
		.read_only = size > 0 && (data[0] & 1),
		.inside_uid = 1000,
		.inside_gid = 1000,
		.keep_records = size > 0 && (data[0] & 2),
		.host_locks = size > 0 && (data[0] & 4),
		.host_uid = geteuid(),
		.host_gid = getegid(),
		.max_inodes = 100,
		.max_fds = 32,
		.proc_prefix = "/proc/self/fd/",
	};
	if (size < 1)
		return 0;
	char *directory = prepare();
	struct share s;
	if (share_init(&s, &settings, open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL) < 0)
		abort();
	AUTO_STRV struct strv hidden = { 0 };
	strv_add(&hidden, "d");
	strv_add(&hidden, "h");
	share_hide(&s, &hidden, NULL);
	s.state->started = 1;
	for (size_t at = 1; size - at >= 4;)
		at += serve(&s, &k, data + at, size - at);
	struct statx st; /* what is hidden stays where it is, and the root is the root */
	if (inode_statx(s.inodes.root->fd, "d/h", &st) < 0 || s.inodes.count > 100 || s.handles.count > 32)
		abort();
	share_done(&s);
	folder_remove(directory);
	return 0;
}
