/* SPDX-License-Identifier: Apache-2.0
 * A child writes the stream into a pipe, the caller unpacks it. */
#include "oci/tar_copy.h"

#include <errno.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

struct reading {
	int fd;
	char block[64 * 1024];
};

static ssize_t read_block(void *data, const void **ret, struct error **err)
{
	struct reading *r = data;
	ssize_t n;
	do
		n = read(r->fd, r->block, sizeof r->block);
	while (n < 0 && errno == EINTR);
	*ret = r->block;
	return n < 0 ? -errno : n;
}

static int write_block(void *data, const void *bytes, size_t size)
{
	return fd_write_full(*(int *)data, bytes, size);
}

static _Noreturn void write_tree(int from, const char *name, const char *as, int restore, int output)
{
	AUTOFREE char *path = xasprintf("/%s", name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	const struct tar_tree t = { .root = from, .path = path, .name = as, .also = { -1, -1 }, .restore = restore };
	_exit(tar_write(&t, write_block, &output, NULL) < 0);
}

int tar_copy_tree(int from, const char *name, int to, const char *as, int restore, struct error **err)
{
	const struct tar_unpack unpack = { .directory = to, .uid = -1, .gid = -1 };
	int ends[2], status = -1, r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "pipe");
	AUTO_FD int reading_end = ends[0], writing_end = ends[1];
	AUTOFREE struct reading *reading = xnew(struct reading);
	reading->fd = reading_end;
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(reading_end);
		write_tree(from, name, as, restore, writing_end);
	}
	if (pid < 0)
		return error_set_errno(err, errno, "fork");
	fd_close(TAKE_FD(writing_end));
	r = tar_unpack_run(&unpack, read_block, reading, NULL, err);
	fd_close(TAKE_FD(reading_end));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r >= 0 && status != 0 ? error_set(err, EIO, "cannot read all of %s", name) : r;
}
