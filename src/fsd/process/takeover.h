/* SPDX-License-Identifier: Apache-2.0
 * The takeover: a new worker continues a share after the death of the last one. */
#pragma once

#include "fsd/request/share.h"

/* Rebuilds the guest's state from the shared memory. Closes the dead worker's descriptors: all
 * above stderr that are neither part of that state nor in fds (the caller's). The first worker
 * calls it too. */
void share_take_over(struct share *s, const int *fds, size_t count);
