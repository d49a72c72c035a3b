/* SPDX-License-Identifier: Apache-2.0
 * See writeback.h. Without SYNC_FILE_RANGE_WAIT_*, sync_file_range(2) waits for no write, unless
 * the disk's queue is full. */
#include "base/writeback.h"

#include <fcntl.h>

enum { EVERY = 8 << 20 };

void writeback_begin(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void writeback_note(struct writeback *w, int fd, uint64_t size)
{
	w->dirty += size;
	if (w->dirty < EVERY)
		return;
	w->dirty = 0;
	writeback_begin(fd);
}
