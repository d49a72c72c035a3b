/* SPDX-License-Identifier: Apache-2.0
 * The marks that overlays leave in files, in a tree that is itself the lower directory of an
 * overlay in a user namespace: the root of a native machine.
 *
 * Problem. Storage of containers inside has marks of its own. overlayfs takes such marks in its
 * lower directory for its own (overlayfs.rst, "Nesting overlayfs mounts"), and a user namespace has
 * no trusted.* attributes.
 *
 * Idea. The tree has what overlays inside need, in the form that overlayfs passes on, and beside it
 * the original under a name that no kernel knows. Who reads the tree as an archive restores the
 * original from there, whatever the kernel shows.
 *
 *   archive                             tree
 *   user.overlay.X, trusted.overlay.X   user.overlay.overlay.X, which Linux shows as user.overlay.X
 *                                       from 6.7 on, and user.holm.kept.NAME
 *   character device 0:0                empty file with user.overlay.overlay.whiteout, a whiteout
 *                                       from Linux 6.8 on, and user.holm.kept.device
 *   the directory of such a device      user.overlay.overlay.opaque=x and user.holm.kept.folder */
#pragma once

#include "base/buffer.h"
#include "oci/tar.h"

#define OVERLAY_USERS "user.overlay."
#define OVERLAY_ROOTS "trusted.overlay."
#define OVERLAY_ESCAPED OVERLAY_USERS "overlay."
#define OVERLAY_KEPT "user.holm.kept."
#define OVERLAY_KEPT_DEVICE OVERLAY_KEPT "device"
#define OVERLAY_KEPT_FOLDER OVERLAY_KEPT "folder"

/* Returns the part of the name behind the prefix of overlayfs ("opaque"); NULL: it is no mark. */
const char *overlay_mark(const char *name);
/* Whether the entry of an archive is a whiteout of overlayfs. */
int overlay_is_whiteout(const struct tar_entry *e);
/* Whether an attribute of this name, with the kept form of `mark` in it, belongs to the file. */
int overlay_is_kept(int fd, const char *mark);
/* The name that an attribute of the tree has in an archive; owned. NULL: it is left out. */
char *overlay_restore(int fd, const char *name);
/* Whether the file stands for a whiteout. */
int overlay_stands_for_whiteout(int fd);
/* Sets a mark of an archive in the tree. 0 or -errno. */
int overlay_set_mark(int fd, const char *name, const void *value, size_t size);
/* Makes an empty file stand for a whiteout; makes a directory one of such files. 0 or -errno. */
int overlay_set_whiteout(int fd);
int overlay_set_folder(int fd);
