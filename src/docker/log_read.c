/* SPDX-License-Identifier: Apache-2.0
 * Reading a log: see log.h. The end of a log is found from behind, so that the last ten lines of a
 * big one cost what they take.
 *
 * A reader that follows keeps the file that it is in. When the writer has renamed it, the reader
 * goes on with the file that took its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "docker/log.h"

enum { NAME_MAX_SIZE = 32, STEP = 64 * 1024 };

static int open_file(const struct docker_log_reader *r, unsigned number)
{
	char name[NAME_MAX_SIZE];
	struct stat st;
	snprintf(name, sizeof name, number ? "json.log.%u" : "json.log", number);
	AUTO_FD int fd = openat(r->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

/* Places the file behind the line break that `*left` lines follow: 1; 0 where it has fewer, which
 * are subtracted. */
static int seek_back(int fd, uint64_t *left, char *block)
{
	off_t end = lseek(fd, 0, SEEK_END);
	int last = 1;
	while (end > 0) {
		size_t n = MIN((off_t)STEP, end);
		end -= (off_t)n;
		if (pread(fd, block, n, end) != (ssize_t)n)
			break;
		for (size_t i = n; i-- > 0;) {
			if (block[i] != '\n')
				continue;
			if (!last && --*left == 0) {
				lseek(fd, end + (off_t)i + 1, SEEK_SET);
				return 1;
			}
			last = 0;
		}
	}
	if (!last)
		--*left;
	lseek(fd, 0, SEEK_SET);
	return *left == 0;
}

/* Opens the file that the tail begins in. */
static int find_tail(struct docker_log_reader *r, uint64_t tail)
{
	AUTOFREE char *block = xmalloc(STEP);
	for (unsigned n = 0; n < DOCKER_LOG_FILES_MAX; n++) {
		int fd = open_file(r, n);
		if (fd < 0 && n == 0)
			continue;
		if (fd < 0)
			break;
		fd_close(r->fd);
		r->fd = fd;
		r->files = n;
		if (tail == 0) {
			lseek(fd, 0, SEEK_END);
			return 0;
		}
		if (tail == UINT64_MAX)
			lseek(fd, 0, SEEK_SET);
		else if (seek_back(fd, &tail, block))
			return 0;
	}
	return 0;
}

int docker_log_read_open(struct docker_log_reader *r, int directory, uint64_t tail)
{
	*r = (struct docker_log_reader){ .directory = directory, .fd = -1, .text = xmalloc(DOCKER_LOG_TEXT_MAX) };
	buffer_init(&r->in, DOCKER_LOG_LINE_MAX + STEP);
	return find_tail(r, tail);
}

void docker_log_read_done(struct docker_log_reader *r)
{
	fd_close(TAKE_FD(r->fd));
	buffer_done(&r->in);
	free(TAKE_PTR(r->text));
}

/* Whether the name of the present file leads to another one now. */
static int was_rotated(const struct docker_log_reader *r)
{
	struct stat ours, named;
	return r->fd >= 0 && fstat(r->fd, &ours) == 0 &&
	       fstatat(r->directory, "json.log", &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino != named.st_ino;
}

/* At the end of a file: the next newer one. 1, or 0 when there is none. */
static int next_file(struct docker_log_reader *r)
{
	if (r->fd >= 0 && r->files == 0 && !was_rotated(r))
		return 0;
	int fd = -1;
	while (fd < 0 && r->files > 0)
		fd = open_file(r, --r->files);
	if (fd < 0)
		fd = open_file(r, 0);
	if (fd < 0)
		return 0;
	fd_close(r->fd);
	r->fd = fd;
	r->skipping = 0;
	buffer_consume(&r->in, r->in.size);
	return 1;
}

/* Takes the next good line out of `in`: 1; 0: more has to be read. */
static int next_line(struct docker_log_reader *r, struct docker_log_entry *ret)
{
	for (;;) {
		const char *end = r->in.size ? memchr(r->in.data, '\n', r->in.size) : NULL;
		if (!end) {
			if (r->in.size < DOCKER_LOG_LINE_MAX)
				return 0;
			r->skipping = 1;
			buffer_consume(&r->in, r->in.size);
			return 0;
		}
		size_t size = (size_t)(end - r->in.data);
		int good = !r->skipping && docker_log_parse(r->in.data, size, r->text, ret) == 0;
		r->skipping = 0;
		buffer_consume(&r->in, size + 1);
		if (good)
			return 1;
	}
}

int docker_log_read(struct docker_log_reader *r, struct docker_log_entry *ret)
{
	for (;;) {
		if (next_line(r, ret))
			return 1;
		ssize_t n = r->fd < 0 ? 0 : buffer_read(&r->in, r->fd, STEP);
		if (n < 0)
			return (int)n;
		if (n == 0 && !next_file(r))
			return 0;
	}
}
