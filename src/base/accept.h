/* SPDX-License-Identifier: Apache-2.0
 * accept(2) in a loop. */
#pragma once

#include "base/loop.h"

/* Whether accept(2) failed for want of descriptors or memory. The socket is readable then, and the
 * next call fails, too: a loop must wait. */
int accept_must_wait(int code);
/* Accepts a connection of the listening socket that s watches. If it has to wait, s is paused for a
 * moment, and clients stay in the backlog. The connection, close-on-exec and non-blocking, or
 * -errno. */
int accept_connection(struct source *s, int listening);
