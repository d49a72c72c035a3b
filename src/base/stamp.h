/* SPDX-License-Identifier: Apache-2.0
 * Lines of a log file that begin with their time: "2026-11-30T03:12:01.123456Z text". The writer
 * puts a time at each beginning of a line, so that a guest that prints such a time itself only adds
 * text. */
#pragma once

#include "base/buffer.h"

enum { STAMP_SIZE = 28 }; /* with the blank */

/* Zero at first: the next byte begins a line. */
struct stamper {
	int in_line;
};

/* Appends the bytes to out, each line with the present time. 0 or -ENOBUFS. */
int stamp_lines(struct stamper *s, const char *data, size_t size, struct buffer *out);
/* Writes a time of STAMP_SIZE bytes, without a NUL. */
void stamp_write(int64_t ns, char out[static STAMP_SIZE]);
/* Whether bytes, fewer than STAMP_SIZE, may be the beginning of a time. */
int stamp_begins(const char *line, size_t size);
/* Reads the time at the beginning of a line: 0, or -EINVAL if there is none. */
int stamp_read(const char *line, size_t size, int64_t *ret_ns);

/* A point in time as people give it: RFC 3339; a date, or a date and a time without a zone, of
 * here; seconds since 1970; or a duration such as 90s, 10m or 1h30m, before now. 0 or -EINVAL. */
int moment_parse(const char *text, int64_t now_ns, int64_t *ret_ns);
