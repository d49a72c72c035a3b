/* SPDX-License-Identifier: Apache-2.0
 * Advisory locks on files (open file description locks, fcntl(2): they belong to the open file,
 * survive fork, and can be asked about). */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

/* Opens (creates 0600) path and takes the lock. deadline as fd_wait(): 0 tries once. Returns the
 * descriptor that holds it, or -EWOULDBLOCK (someone else has it), -errno. Closing the descriptor
 * releases it. */
int lock_file(const char *path, enum lock_mode mode, uint64_t deadline_ms, struct error **err);
/* Whether someone holds an exclusive lock on path now: 1, 0 (also when the file is missing), or
 * -errno. Never waits, takes nothing. */
int lock_is_held(const char *path);
