/* SPDX-License-Identifier: Apache-2.0
 * The spellings of -v and --mount, as members of a create request. Docker's client reads them the
 * same way. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* Reads -v [SOURCE:]TARGET[:OPTIONS]. Appends to `binds`, or without SOURCE adds TARGET to
 * `volumes` (both borrowed). A SOURCE that begins with "." is a path below the current directory.
 * 0 or -EINVAL. */
int mounts_add_volume(const char *text, struct json_object *binds, struct json_object *volumes, struct error **err);
/* Reads --mount KEY=VALUE,... as an item of HostConfig.Mounts, owned. 0 or -EINVAL. */
int mounts_parse(const char *text, struct json_object **ret, struct error **err);
/* Adds --tmpfs TARGET[:OPTIONS] to HostConfig.Tmpfs. 0 or -EINVAL. */
int mounts_add_tmpfs(const char *text, struct json_object *tmpfs, struct error **err);
