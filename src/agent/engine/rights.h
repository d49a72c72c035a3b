/* SPDX-License-Identifier: Apache-2.0
 * The rights of a container, in the form of crun's specification. */
#pragma once

#include "docker/rights.h"
#include "oci/runtime_spec.h"

#define RIGHTS_INIT "/sbin/docker-init" /* of --init, in the container */

enum { RIGHTS_MOUNTS_MAX = DOCKER_DEVICES_MAX + 8 };

/* Memory that a specification borrows. */
struct rights_lists {
	const char *capabilities[DOCKER_CAPABILITIES + 1];
	struct runtime_limit limits[DOCKER_ULIMITS_MAX];
};
void rights_fill_process(const struct docker_rights *r, struct rights_lists *lists, struct runtime_spec *s);
void rights_fill_container(const struct docker_rights *r, struct runtime_spec *s);
/* Makes ready what the mounts need: 0, -ENOENT for a device that is not there, or -errno. */
int rights_prepare(const struct docker_rights *r, struct error **err);
size_t rights_mounts(const struct docker_rights *r, struct runtime_mount *to); /* at most RIGHTS_MOUNTS_MAX */
