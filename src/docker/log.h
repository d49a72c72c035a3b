/* SPDX-License-Identifier: Apache-2.0
 * The log of a container: Docker's json-file format, one JSON object a line,
 *
 *   {"log":"text\n","stream":"stdout","time":"2026-11-29T12:00:00.000000001Z"}
 *
 * in the files json.log, json.log.1 (older), json.log.2 and so on of a directory. A line of output
 * that is longer than DOCKER_LOG_TEXT_MAX becomes several entries, of which the last one ends with
 * the line break. Bytes that are no UTF-8 stay as they are, so that a reader gets the exact output.
 *
 * The directory is the container's, so everything in it may be hostile: a reader takes regular
 * files only and skips lines of another form. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "docker/frame.h"

enum {
	DOCKER_LOG_TEXT_MAX = 16 * 1024,                     /* bytes of output in one entry */
	DOCKER_LOG_LINE_MAX = DOCKER_LOG_TEXT_MAX * 6 + 256, /* bytes of a line of the file */
	DOCKER_LOG_FILES_MAX = 100,
};

struct docker_log_entry {
	enum docker_stream stream;
	int64_t time_ns;
	const char *text; /* in the caller's buffer */
	size_t size;
};

/* One line, with its line break. 0 or -ENOBUFS. */
int docker_log_format(struct buffer *out, const struct docker_log_entry *e);
/* Parses a line without its line break; text: DOCKER_LOG_TEXT_MAX bytes for the entry's text. 0 or
 * -EBADMSG. */
int docker_log_parse(const char *line, size_t size, char *text, struct docker_log_entry *ret);

/* ---- writing ---- */
struct docker_log_writer {
	int directory; /* borrowed */
	int fd;        /* -1: nothing is kept */
	uint64_t size, max_size, inode;
	unsigned max_files;
	struct buffer partial[2]; /* the end of stdout and of stderr that has no line break yet */
	struct buffer lines;
};
/* max_size 0: one file without end. A torn last line of a writer that was killed is cut off. 0 or
 * -errno. */
int docker_log_open(struct docker_log_writer *w, int directory, uint64_t max_size, unsigned max_files);
/* Cuts the lines that a writer that was killed wrote after it noted this file and size. After a
 * rotation that is the whole present file. 0 or -errno. */
int docker_log_resume(struct docker_log_writer *w, uint64_t inode, uint64_t size);
/* Takes output in; each complete line goes to the file at once. 0 or -errno, after which the writer
 * goes on with the next call. */
enum { DOCKER_LOG_ONCE_MAX = 8 * 1024 }; /* so much of it goes to the file by one write(2) */
int docker_log_write(struct docker_log_writer *w, enum docker_stream stream, const void *data, size_t size,
    int64_t time_ns);
/* The output has ended: what has no line break goes to the file, too. */
int docker_log_finish(struct docker_log_writer *w, int64_t time_ns);
void docker_log_done(struct docker_log_writer *w);

/* ---- reading ---- */
struct docker_log_reader {
	int directory;  /* borrowed */
	int fd;         /* of the present file */
	unsigned files; /* older than the present one that are still to be read */
	struct buffer in;
	char *text;
	int skipping; /* in a line that is too long */
};
/* Begins before the last `tail` entries; UINT64_MAX: at the oldest. 0 or -errno; a missing log is
 * an empty one. */
int docker_log_read_open(struct docker_log_reader *r, int directory, uint64_t tail);
/* Reads the next entry, valid until the next call: 1; 0 at the present end, after which more may
 * come; -errno. */
int docker_log_read(struct docker_log_reader *r, struct docker_log_entry *ret);
void docker_log_read_done(struct docker_log_reader *r);
