/* SPDX-License-Identifier: Apache-2.0
 * Limits of a container for single disks: BlkioDeviceReadBps and the like of HostConfig. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

enum { DOCKER_DEVICE_LIMITS_MAX = 32 };

struct docker_device_limit {
	const char *path; /* borrowed from the object */
	const char *word; /* that of io.max: rbps, wbps, riops or wiops */
	uint64_t rate;    /* bytes or operations a second; 0: without end */
};

/* Reads all of them. 0, or -EINVAL for another shape or too many. */
int docker_device_limits_parse(struct json_object *host, struct docker_device_limit ret[DOCKER_DEVICE_LIMITS_MAX],
    size_t *ret_count, struct error **err);
