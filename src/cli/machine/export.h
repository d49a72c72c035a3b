/* SPDX-License-Identifier: Apache-2.0
 * A stopped machine as an archive: for `export`, and for moving a disk to the other form. */
#pragma once

#include "base/error.h"

/* Boots the machine without its init, writes the archive, stops it. 0, -errno, or a positive exit
 * status of holm-image, which has said why. On success this process is the last that held the
 * machine's lock (machine_lock_again), unless somebody else used the machine since. */
int export_machine(const char *name, const char *file, struct error **err);
