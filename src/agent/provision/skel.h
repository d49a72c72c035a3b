/* SPDX-License-Identifier: Apache-2.0
 * Fills a new home from /etc/skel. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Copies what is in directory `from` of the tree `root` (missing: nothing) into the open directory
 * `to`, owned by uid and gid. Regular files, directories and symlinks; other things are left out.
 * At most SKEL_ENTRIES_MAX entries, SKEL_BYTES_MAX bytes. */
enum { SKEL_ENTRIES_MAX = 10000, SKEL_DEPTH_MAX = 32 };
#define SKEL_BYTES_MAX ((uint64_t)1 << 30)
int skel_copy(int root, const char *from, int to, uint32_t uid, uint32_t gid, struct error **err);
