/* SPDX-License-Identifier: Apache-2.0
 * Copies of directory trees. */
#pragma once

#include <sys/stat.h>

#include "base/error.h"

/* Copies all that is in directory `from` to directory `to`, which is empty, and from's owner, mode,
 * attributes and times, too. Kept are owners, modes, times, extended attributes, hard links, holes,
 * fifos, sockets and the whiteouts of overlays. Where the file system can, files share their blocks
 * until one of the two changes. Nobody else may write to the trees meanwhile. 0, or -errno with the
 * path in the text: -EPERM for a device that the caller cannot make. */
int tree_copy(int from, int to, struct error **err);
/* Copies a symlink with owner and times, from one directory to a free name in another. st: its own.
 * 0 or -errno. */
int tree_copy_link(int from, int to, const char *name, const struct stat *st);
