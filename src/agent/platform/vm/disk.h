/* SPDX-License-Identifier: Apache-2.0
 * The machine's disk and the modules disk. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Mounts the ext4 block device at AGENT_ROOT (discard on) and grows the file system to the device's
 * size. Mounted already: fine. */
int disk_mount_root(const char *device, struct error **err);
int disk_mount_modules(const char *device, struct error **err); /* at AGENT_MODULES, read-only */
