/* SPDX-License-Identifier: Apache-2.0
 * The mounts of a container that the starter makes, as root of the container, in a mount namespace
 * of its own. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* Mounts the root of this specification and what it has in it, with Docker's devices. The root as a
 * descriptor, or -errno. */
int starter_mount(struct json_object *spec, struct error **err);
/* Mounts the terminal behind this descriptor on /dev/console. 0 or -errno. */
int starter_mount_console(int root, int terminal, struct error **err);
/* Masks paths, makes paths and the root read-only, as the specification says. 0 or -errno. */
int starter_hide(int root, struct json_object *spec, struct error **err);
