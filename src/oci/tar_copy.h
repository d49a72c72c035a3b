/* SPDX-License-Identifier: Apache-2.0
 * Copies a tree as a tar stream between two processes: owners, modes, times, holes, hard links and
 * extended attributes as an archive has them. */
#pragma once

#include "base/error.h"

/* Copies `name` of the directory `from` to `as` in the directory `to`. No symbolic link is
 * followed. restore: marks of overlays become what they are in archives (tar_overlay.h). Forks. 0
 * or -errno. */
int tar_copy_tree(int from, const char *name, int to, const char *as, int restore, struct error **err);
