/* SPDX-License-Identifier: Apache-2.0
 * Resolves a share's host path. A machine that may write to one share can put a symbolic link
 * in place of a directory below it, and another share of the same machine may begin right there:
 * such a link is refused, so that no machine chooses what is shared with it. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

/* The path (absolute) without symbolic links, owned, as realpath(3) gives it, and an O_PATH
 * descriptor of what is there. `writable`:
 * directories, normalized, that the machine may write to. -EACCES: a link on the way lies in or
 * below one of them; -ENOENT, -ELOOP, other -errno of lstat(2) and readlink(2). */
int share_source_resolve(const char *path, const struct strv *writable, char **ret, int *ret_fd, struct error **err);
