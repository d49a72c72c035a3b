/* SPDX-License-Identifier: Apache-2.0
 * Writing back early: the disk begins with a file's dirty pages while the program still makes more
 * of them, so the sync in the end has less to wait for. A hint, which nothing depends on. */
#pragma once

#include <stdint.h>

struct writeback {
	uint64_t dirty; /* bytes written since the disk began last; zeroed at first */
};

/* Notes `size` bytes written to fd; the disk begins once in some MiB. */
void writeback_note(struct writeback *w, int fd, uint64_t size);
/* The disk begins with what fd has. */
void writeback_begin(int fd);
