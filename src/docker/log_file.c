/* SPDX-License-Identifier: Apache-2.0
 * Writing a log: see log.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "docker/log.h"

enum { NAME_MAX_SIZE = 32, CUT_STEP = 4096 };

static void file_name(unsigned number, char name[NAME_MAX_SIZE])
{
	if (number)
		snprintf(name, NAME_MAX_SIZE, "json.log.%u", number);
	else
		snprintf(name, NAME_MAX_SIZE, "json.log");
}

/* A line that was not written whole ends the file of a writer that was killed. */
static int cut_torn_line(int fd, uint64_t *size)
{
	char block[CUT_STEP];
	for (uint64_t end = *size; end > 0;) {
		size_t n = MIN(sizeof block, end);
		if (pread(fd, block, n, (off_t)(end - n)) != (ssize_t)n)
			return -EIO;
		const char *last = memrchr(block, '\n', n);
		end -= n;
		if (!last && end > 0)
			continue;
		uint64_t whole = last ? end + (uint64_t)(last - block) + 1 : 0;
		if (whole < *size && ftruncate(fd, (off_t)whole) < 0)
			return -errno;
		*size = whole;
		return 0;
	}
	return 0;
}

static int open_file(struct docker_log_writer *w)
{
	struct stat st;
	AUTO_FD int fd =
	    openat(w->directory, "json.log", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	w->size = (uint64_t)st.st_size;
	int r = cut_torn_line(fd, &w->size);
	if (r < 0)
		return r;
	w->inode = st.st_ino;
	fd_close(w->fd);
	w->fd = TAKE_FD(fd);
	return 0;
}

int docker_log_open(struct docker_log_writer *w, int directory, uint64_t max_size, unsigned max_files)
{
	*w = (struct docker_log_writer){
		.directory = directory,
		.fd = -1,
		.max_size = max_size,
		.max_files = MIN(MAX(max_files, 1U), (unsigned)DOCKER_LOG_FILES_MAX),
	};
	for (size_t i = 0; i < ARRAY_SIZE(w->partial); i++)
		buffer_init(&w->partial[i], DOCKER_LOG_TEXT_MAX);
	/* A line of one byte takes some 80 in the file. */
	buffer_init(&w->lines, (size_t)DOCKER_LOG_ONCE_MAX * 80 + (size_t)2 * DOCKER_LOG_LINE_MAX);
	return open_file(w);
}

int docker_log_resume(struct docker_log_writer *w, uint64_t inode, uint64_t size)
{
	uint64_t kept = w->inode == inode ? size : 0;
	if (w->fd < 0 || w->size <= kept)
		return 0;
	if (ftruncate(w->fd, (off_t)kept) < 0)
		return -errno;
	w->size = kept;
	return 0;
}

/* json.log becomes json.log.1, and so on; the oldest goes. */
static int rotate(struct docker_log_writer *w)
{
	char from[NAME_MAX_SIZE], to[NAME_MAX_SIZE];
	if (w->max_files == 1)
		return unlinkat(w->directory, "json.log", 0) < 0 ? -errno : open_file(w);
	for (unsigned n = w->max_files - 1; n > 0; n--) {
		file_name(n - 1, from);
		file_name(n, to);
		if (renameat(w->directory, from, w->directory, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return open_file(w);
}

/* Puts the finished lines into the file. A full disk loses them, not the container. */
static int flush(struct docker_log_writer *w)
{
	size_t size = w->lines.size;
	int r = 0;
	if (!size)
		return 0;
	if (w->max_size && w->size && w->size + size > w->max_size)
		r = rotate(w);
	if (r >= 0)
		r = fd_write_full(w->fd, w->lines.data, size);
	if (r >= 0)
		w->size += size;
	else if (w->fd >= 0)
		(void)!ftruncate(w->fd, (off_t)w->size);
	buffer_consume(&w->lines, size);
	return r;
}

/* Makes an entry of the partial buffer. */
static int add_entry(struct docker_log_writer *w, enum docker_stream stream, int64_t time_ns)
{
	struct buffer *partial = &w->partial[stream - DOCKER_STDOUT];
	struct docker_log_entry e = { .stream = stream,
		.time_ns = time_ns,
		.text = partial->data,
		.size = partial->size };
	int r = 0;
	if (!e.size)
		return 0;
	if (w->lines.size + DOCKER_LOG_LINE_MAX > w->lines.max)
		r = flush(w);
	int formatted = docker_log_format(&w->lines, &e);
	buffer_consume(partial, partial->size);
	return r < 0 ? r : formatted;
}

int docker_log_write(struct docker_log_writer *w, enum docker_stream stream, const void *data, size_t size,
    int64_t time_ns)
{
	struct buffer *partial = &w->partial[stream - DOCKER_STDOUT];
	const char *at = data;
	int r = 0;
	while (size > 0) {
		size_t room = DOCKER_LOG_TEXT_MAX - partial->size, n = MIN(room, size);
		const char *end = memchr(at, '\n', n);
		if (end)
			n = (size_t)(end - at) + 1;
		buffer_append(partial, at, n);
		at += n;
		size -= n;
		if (end || partial->size == DOCKER_LOG_TEXT_MAX) {
			int added = add_entry(w, stream, time_ns);
			r = r < 0 ? r : added;
		}
	}
	int flushed = flush(w);
	return r < 0 ? r : flushed;
}

int docker_log_finish(struct docker_log_writer *w, int64_t time_ns)
{
	int r = add_entry(w, DOCKER_STDOUT, time_ns);
	int second = add_entry(w, DOCKER_STDERR, time_ns), flushed = flush(w);
	return r < 0 ? r : second < 0 ? second : flushed;
}

void docker_log_done(struct docker_log_writer *w)
{
	fd_close(TAKE_FD(w->fd));
	for (size_t i = 0; i < ARRAY_SIZE(w->partial); i++)
		buffer_done(&w->partial[i]);
	buffer_done(&w->lines);
}
