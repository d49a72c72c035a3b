/* SPDX-License-Identifier: Apache-2.0
 * The standard descriptors and signals of a command that stands for one elsewhere: a session of a
 * machine, a container. */
#pragma once

#include <signal.h>

#include "base/buffer.h"

/* stdout or stderr. Other programs share the descriptor, so it stays blocking: a write after
 * poll(2) is at most PIPE_BUF bytes where it could block. */
struct standard_output {
	int fd;
	int regular; /* a file: writes do not block for ever, so they may be large */
	int broken;  /* the exit status if nobody reads any more, or 0 */
	struct buffer pending;
};
void standard_output_init(struct standard_output *o, int fd, size_t max);
/* Writes some of what is pending. A failure other than a closed pipe is shown. */
void standard_output_write(struct standard_output *o);

/* Blocks the signals that a command passes on, and SIGWINCH, except those that the caller ignores;
 * *old is the mask before. Returns a signalfd or -1. */
int standard_signals(sigset_t *old);
