/* SPDX-License-Identifier: Apache-2.0
 * Devices that appear while a driver probes. There is no udev: sysfs says which node a device
 * has. */
#pragma once

/* The node of a device, owned; NULL: it is not there (yet). */
typedef char *device_finder(const char *name);

/* Waits until the device has a node in /dev that opens with `flags`; *ret_path, if not NULL, is
 * owned. A descriptor; -ENODEV after 20 s; -errno of open(2) if waiting is of no use. */
int device_open(device_finder *find, const char *name, int flags, char **ret_path);
