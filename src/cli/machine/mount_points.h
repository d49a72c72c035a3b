/* SPDX-License-Identifier: Apache-2.0
 * Mount points that a stopped machine leaves in the home. */
#pragma once

#include "machine/machine.h"

/* Removes the mount point of a mount at `inside`, if holm has made it in the home for this machine
 * and no other one uses it. */
void mount_points_remove(const struct machine *m, const char *inside);
