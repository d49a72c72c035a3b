/* SPDX-License-Identifier: Apache-2.0
 * The terminal in front of a command: raw mode, window size. */
#pragma once

#include <termios.h>

#include "base/macros.h"

struct terminal_state {
	int fd; /* -1: not in raw mode */
	struct termios saved;
};
#define TERMINAL_STATE_NONE ((struct terminal_state){ .fd = -1 })

int terminal_raw(struct terminal_state *t, int fd); /* 0 or -errno */
void terminal_restore(struct terminal_state *t);    /* fine when not raw */
int terminal_size(int fd, unsigned *ret_rows, unsigned *ret_columns);
