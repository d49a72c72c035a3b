/* SPDX-License-Identifier: Apache-2.0
 * Mounts by descriptor: nothing is mounted on a path that the machine could change under us. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

struct platform;

#define MOUNTS_SHARED_FILE "file" /* the name of a single file in its share */

/* A detached mount (descriptor) of the virtiofs share with this tag; -errno. */
int mounts_open_virtiofs(const struct boot_share *s, struct error **err);
/* A detached copy of a mount at a path of ours (recursive), or -errno. */
int mounts_clone(const char *path, struct error **err);
/* A detached copy (recursive) of what a relative path ("": the whole) leads to below a mount at a
 * path of ours, without symlinks; or -errno. */
int mounts_clone_beneath(const char *path, const char *relative);
/* Moves a detached mount onto `inside` of the tree at `root`, making the mount point, a directory
 * or for the mount of a file a file, where there is none. */
int mounts_attach(int mount, int root, const char *inside, struct error **err);
/* Replaces the mount of a share at `path`, a path of ours, by that of its MOUNTS_SHARED_FILE alone.
 * 0 or -errno. */
int mounts_leave_file(const char *path);
/* Whether the share's own mount is that of a single file. */
int mounts_is_file(const char *tag);
/* Mounts every share at AGENT_SHARES/TAG. Mounted already: fine. */
int mounts_shares(const struct platform *p, const struct boot_request *b, struct error **err);
int mounts_share_at_home(const struct platform *p, const struct boot_share *s, struct error **err); /* one of them */
/* The file system that is mounted at AGENT_SHARES/TAG, as the kernel writes it in fdinfo (major <<
 * 20 | minor); its server is not asked. 0: nothing is mounted. */
uint32_t mounts_share_device(const char *tag);
/* Sets the error of a share that cannot be mounted, with the remedy; the home has none. Returns
 * code. */
int mounts_refuse(const struct boot_request *b, const struct boot_share *s, int code, const char *why,
    struct error **err);
