/* SPDX-License-Identifier: Apache-2.0
 * Directories, and for single files files, for mounts to be mounted on, where holm has to make
 * them: on the machine's disk or in another share. They are marked with the ids of the machines
 * that use them, and go when the last one takes its mount away. Without a mark they stay: they are
 * somebody's own. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

/* The place of a mount point: the directory, here, of the disk or of the share that it lies in. */
struct mount_place {
	int base; /* -1: none */
	int in_share;
	int is_file;    /* the mount is that of a single file; set by the caller for mount_point_make() */
	char *relative; /* below base; owned */
};

/* Finds the place of a share's mount point; `root` is the machine's disk. Owned; base is -1 if
 * there is none. */
struct mount_place mount_point_find(const struct boot_request *b, const struct boot_share *s, int root);
void mount_point_done(struct mount_place *p);
/* Makes what is missing of it. It belongs to the user in a share, else to whom the directory above
 * belongs. 0, -ELOOP if a symlink is on the way, or -errno. */
int mount_point_make(const struct mount_place *p, const struct boot_request *b);
/* Removes what holm has made, if no other machine uses it and nothing is in it. */
void mount_point_remove(const struct mount_place *p, const struct boot_request *b);
