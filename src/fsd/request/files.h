/* SPDX-License-Identifier: Apache-2.0
 * Regular files of the share that are open. */
#pragma once

#include "fsd/request/share.h"

/* A real descriptor of a regular file, checked to be the very file that i stands for. flags:
 * O_RDONLY, O_WRONLY or O_RDWR, with O_APPEND, O_SYNC, O_DSYNC; others are left out. fd (owned),
 * with its attributes, or -errno; -ESTALE when the file is no longer where it was. */
int file_open(struct share *s, struct inode *i, int flags, struct statx *ret);
/* What is done with an open file from here on happens where it is asked for, however it was opened:
 * 0 or -errno. */
int handle_no_append(struct handle *h);
