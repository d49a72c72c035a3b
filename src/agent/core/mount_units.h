/* SPDX-License-Identifier: Apache-2.0
 * systemd makes a unit of each mount, and unmounts it before the machine stops. It logs a failure
 * for each mount that a process still uses, and for each that the kernel has locked. */
#pragma once

#include "agent/core/boot_request.h"
#include "base/error.h"

/* Tells the machine's systemd, by drop-ins in its /run, to leave the mounts of this share alone.
 * Before the share is mounted. 0 or -errno. */
int mount_units_leave_share(const struct boot_share *s);
/* (in the init's namespaces, before AGENT_ROOT becomes their root) Does so for all that is mounted
 * there by now, but the kernel's file systems and what the runtime mounts. */
int mount_units_leave_all(struct error **err);
/* The name of the unit of the mount at a path, owned (systemd.unit(5), "String escaping"). */
char *mount_units_name(const char *path);
