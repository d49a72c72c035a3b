/* SPDX-License-Identifier: Apache-2.0
 * The places of a new machine's mounts, before it boots. */
#pragma once

#include "machine/machine.h"

/* Checks that no directory is to be mounted over a file and no file over a directory: in the
 * image's trees (a native machine), in the home and in other mounts. What cannot be seen from the
 * host is left to the boot. 0 or -ENOTDIR. */
int places_check(const struct machine *m, struct error **err);
