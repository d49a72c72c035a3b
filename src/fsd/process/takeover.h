/* SPDX-License-Identifier: Apache-2.0
 * A share whose last worker died, in the hands of the next one. */
#pragma once

#include "fsd/request/share.h"

/* Rebuilds what the guest has of the share from what was left in shared memory, and closes every
 * descriptor above stderr that is neither part of that nor in fds (what the caller needs): the dead
 * worker's. Also right for the first worker. */
void share_take_over(struct share *s, const int *fds, size_t count);
