/* SPDX-License-Identifier: Apache-2.0
 * Members of HostConfig that limit a container: memory, processors, processes, and its cgroup. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"
#include "docker/device_limits.h"

/* Kinds of limits that a machine may have. */
enum docker_limit {
	DOCKER_LIMIT_CGROUP = 1, /* containers have cgroups */
	DOCKER_LIMIT_MEMORY = 2,
	DOCKER_LIMIT_SWAP = 4,
	DOCKER_LIMIT_CPU = 8,
	DOCKER_LIMIT_CPUSET = 16,
	DOCKER_LIMIT_PIDS = 32,
	DOCKER_LIMIT_BLKIO = 64,
	DOCKER_LIMIT_IO = 128, /* for single disks */
};

enum { DOCKER_CPUS_MAX = 8192 };

/* 0 or NULL: not given. Texts are borrowed from the object. */
struct docker_limits {
	int64_t memory, memory_reservation; /* bytes */
	int64_t memory_swap;                /* bytes of memory and swap; -1: without end */
	int64_t nano_cpus, cpu_shares, cpu_quota, cpu_period;
	int64_t pids; /* below 0: without end */
	int64_t blkio_weight, oom_score_adj;
	const char *cpuset_cpus, *cpuset_mems;
	const char *cgroup_parent; /* without slashes at its ends */
	int host_cgroupns;
	struct docker_device_limit devices[DOCKER_DEVICE_LIMITS_MAX];
	size_t device_count;
};

/* Reads and checks them: 0, or -EINVAL with a text in Docker's words. */
int docker_limits_parse(struct json_object *host, struct docker_limits *ret, struct error **err);
/* Takes members that this machine cannot honour (`supported`: bits of docker_limit) out of host.
 * Adds Docker's warning for each kind. */
void docker_limits_discard(struct json_object *host, unsigned supported, struct strv *warnings);
/* Copies the members of an update that are given ("not given" is null, 0 or "") into host. 0, or
 * -EINVAL with a text in Docker's words. */
int docker_limits_merge(struct json_object *host, struct json_object *update, struct error **err);
/* Replaces the limits of host by those of another HostConfig. */
void docker_limits_copy(struct json_object *host, struct json_object *from);

/* Whether each number of a list such as "0-2,7" is in another one: 1 or 0, or -EINVAL for no such
 * list. */
int docker_cpus_are_in(const char *list, const char *available);
