/* SPDX-License-Identifier: Apache-2.0
 * The machine's own folders over places in the shared home (home-private). They lie in OWN_FOLDERS
 * of the machine's tree, one a place, named by path_flatten(). */
#pragma once

#include "agent/core/boot_request.h"

#define OWN_FOLDERS "var/lib/holm/home-private"

struct platform;

/* (worker) Mounts a folder on each private place of each share; a new folder belongs to the
 * machine's user. In a rescue boot only makes OWN_FOLDERS whole. Again: fine. 0 or the first
 * -errno, after all places. */
int own_folders_mount(const struct platform *p, int root, const struct boot_request *b, struct error **err);
/* (worker) Takes these mounts away, so that the machine's disk can be unmounted. */
void own_folders_unmount(const struct boot_request *b);
/* Opens OWN_FOLDERS if it is there. A descriptor or -errno. */
int own_folders_open(int root);
