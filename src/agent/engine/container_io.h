/* SPDX-License-Identifier: Apache-2.0
 * Limits of a container's cgroup for single disks (io.max). */
#pragma once

#include "agent/engine/engine.h"

/* Writes those of `l`. 0 or -errno; a disk that is not there is an error that names it. */
int container_io_limit(const struct container *c, const struct docker_limits *l, struct error **err);
