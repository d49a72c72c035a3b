/* SPDX-License-Identifier: Apache-2.0
 * The output of a container's process on its way into the log, so that the engine may be killed at
 * any moment and the next one loses no byte and writes none twice.
 *
 * Problem. What a process has read from a pipe and not yet written ends with it.
 *
 * Idea. The bytes never leave the kernel before they are safe: splice(2) moves them from the pipe
 * into a memfd, and the memfd's size counts them. The engine reads them there, writes the log, and
 * then commits {offsets, log file, its size} to a page that is shared through the memfd. The page
 * has two slots and the number of the valid one, which is written last. The next engine cuts the
 * log to the committed size and reads on from the committed offsets. Process 1 (monitor.h) holds
 * pipes and memfds.
 *
 * A terminal's output takes one more step, through a pipe: splice(2) needs one at one end. That
 * pipe is held, too.
 *
 * The memfd's offsets only grow; what is committed is cut out of it (FALLOC_FL_PUNCH_HOLE), so that
 * SPOOL_KEPT bytes and one step remain. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/engine/monitor.h"

enum {
	SPOOL_STEP = 8 * 1024, /* bytes at once */
	SPOOL_KEPT = 256 * 1024,
};

struct spool_commit {
	uint64_t offsets[2];  /* of stdout and stderr: what lies before is in the log */
	uint64_t inode, size; /* of the log's present file; 0: no log */
};

struct spool;
/* For a process's pipes or its terminal. NULL: errno says why. */
struct spool *spool_new(int terminal);
/* Takes the descriptors of an earlier engine's spool: NULL where they are none. */
struct spool *spool_adopt(int fds[static HELD_COUNT]);
void spool_free(struct spool *s);                                          /* NULL is fine */
void spool_descriptors(const struct spool *s, int fds[static HELD_COUNT]); /* borrowed; others stay */
/* Moves bytes of stream 0 or 1 from its pipe or terminal, and reads them: as read(2), or -errno. */
ssize_t spool_read(struct spool *s, int stream, int from, char bytes[static SPOOL_STEP]);
/* Reads what an earlier engine had moved and not committed: as above; 0: nothing is left. */
ssize_t spool_read_rest(struct spool *s, int stream, char bytes[static SPOOL_STEP]);
/* All that was read is in the log, except the last `pending` bytes of each stream. */
void spool_commit(struct spool *s, const size_t pending[2], uint64_t inode, uint64_t size);
struct spool_commit spool_committed(const struct spool *s);
