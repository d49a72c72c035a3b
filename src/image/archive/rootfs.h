/* SPDX-License-Identifier: Apache-2.0
 * A root file system's archive as a layer of the library. */
#pragma once

#include "image/archive/compose.h"
#include "image/common/progress.h"

/* Reads a tar archive, compressed with whatever libarchive knows, from fd (a pipe will do) and
 * writes it as a layer. The archive must be whole and have files; one that is an image is refused.
 * `what` names it in errors. 0 or -errno. */
int rootfs_import(struct library *l, int fd, const char *what, struct progress *p, struct composed_layer *ret,
    struct error **err);
