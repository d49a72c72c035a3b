/* SPDX-License-Identifier: Apache-2.0
 * Files of the machine's own file system, which may be hostile: every path is resolved with the
 * tree's root as "/" (openat2), nothing but regular files is read, and never more than a cap. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

enum { ROOTFS_FILE_MAX = 4 * 1024 * 1024 };

/* The text of a regular file, owned and NUL-terminated; -ENOENT and other -errno without text in
 * err. NUL bytes inside: -EINVAL. */
int rootfs_read(int root, const char *path, char **ret);
/* Replaces the file atomically. An existing regular file keeps its owner and, with mode 0, its mode
 * (0644 for a new one). Missing parents are made (0755). Nothing is written when it has this
 * content already. */
int rootfs_write(int root, const char *path, mode_t mode, const char *text, struct error **err);
/* mkdir -p; a descriptor (O_PATH) of the directory, or -errno. */
int rootfs_mkdir(int root, const char *path, mode_t mode, struct error **err);
/* Opens what is at the path (O_PATH); makes an empty file and the directories above if nothing is
 * there, also behind a symlink. A descriptor or -errno. */
int rootfs_open_file(int root, const char *path, struct error **err);
/* replaces what is not a directory */
int rootfs_symlink(int root, const char *path, const char *target, struct error **err);
int rootfs_exists(int root, const char *path);     /* of any file type; follows symlinks inside the root */
int rootfs_is_program(int root, const char *path); /* a regular file that somebody may execute */
/* The path that symlinks lead to, inside the root ("/usr/lib/systemd/systemd"), owned; -errno. */
int rootfs_resolve(int root, const char *path, char **ret);
