/* SPDX-License-Identifier: Apache-2.0
 * Open regular files of a share. */
#pragma once

#include "fsd/request/share.h"

/* Opens the regular file of i, and checks its identity. flags: O_RDONLY, O_WRONLY or O_RDWR, with
 * O_APPEND, O_SYNC, O_DSYNC; others are ignored. fd (owned) and its attributes, or -errno; -ESTALE
 * when the file is not found any more. */
int file_open(struct share *s, struct inode *i, int flags, struct statx *ret);
/* Clears O_APPEND of a handle, so that writes go to their offset. 0 or -errno. */
int handle_no_append(struct handle *h);
