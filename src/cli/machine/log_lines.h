/* SPDX-License-Identifier: Apache-2.0
 * The lines of a log file (base/stamp.h) by their times: those of a span, with or without the
 * times. A line without a time is as old as the one before it. */
#pragma once

#include <stdint.h>

#include "base/stamp.h"

struct log_lines {
	int64_t since_ns, until_ns; /* 0, INT64_MAX: no bound */
	int with_times;
	uint64_t skip;    /* as many lines of the span are left out */
	int keep_returns; /* else carriage returns at the end of a line are left out */
	/* The state: zero at first. */
	uint64_t shown;
	int64_t last_ns;                /* of the line, or of the one before */
	int in_line, is_shown, is_over; /* over: a line was not before until_ns */
	char held[STAMP_SIZE];
	size_t held_size;
	size_t returns; /* carriage returns that may end the line */
};

typedef int (*log_lines_write)(const char *data, size_t size, void *data_of_writer);

/* Takes bytes of the file, and hands on those to show, no more at once. 0, or the result of
 * write. */
int log_lines_feed(struct log_lines *l, const char *data, size_t size, log_lines_write write, void *data_of_writer);
/* Hands on the beginning of a line that has no more. */
int log_lines_end(struct log_lines *l, log_lines_write write, void *data_of_writer);
