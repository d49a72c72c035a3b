/* SPDX-License-Identifier: Apache-2.0
 * The way along a path of the host that a machine could have bent: in a directory that the machine
 * writes to, it can replace anything by a symbolic link to whatever the user may open. */
#pragma once

#include "base/strv.h"

/* Follows the path (absolute) as path_resolution(7) has it, but no symlink in or below one of the
 * `writable` directories (normalized). Returns a descriptor of what it leads to (O_PATH, owned), or
 * -EPERM with the refused symlink's path in *ret_link (owned), -ELOOP, -ENAMETOOLONG, or -errno of
 * openat(2). The descriptor stays what it is, whatever the path means later. */
int walk_path(const char *path, const struct strv *writable, char **ret_link);
/* The path of a descriptor as the kernel has it, without symlinks: owned; NULL: too long. */
char *walk_path_of(int fd);
