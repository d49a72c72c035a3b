/* SPDX-License-Identifier: Apache-2.0
 * Members of HostConfig about what a container may do: capabilities, limits of processes, kernel
 * parameters, devices. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

enum { DOCKER_CAPABILITIES = 41, DOCKER_ULIMITS_MAX = 16, DOCKER_DEVICES_MAX = 64 };

/* "CAP_CHOWN" and so on, by number (capability.h). */
extern const char *const docker_capabilities[DOCKER_CAPABILITIES];

struct docker_ulimit {
	int64_t soft, hard; /* -1: none */
	const char *name;   /* "RLIMIT_NOFILE", static */
	int resource;       /* the number of that (getrlimit(2)) */
};

struct docker_device {
	const char *from, *to; /* borrowed from the body */
	const char *access;    /* of "rwm" */
};

struct docker_rights {
	uint64_t capabilities; /* those that root has */
	int privileged, no_new_privileges, unconfined, init;
	uint64_t shm_size; /* bytes; 0: not given */
	struct docker_ulimit ulimits[DOCKER_ULIMITS_MAX];
	size_t ulimit_count;
	struct json_object *sysctls; /* an object of strings, or NULL; borrowed */
	struct docker_device devices[DOCKER_DEVICES_MAX];
	size_t device_count;
};

/* The number of "RLIMIT_NOFILE" and its like; -1: unknown. */
int docker_limit_resource(const char *name);
/* The rights of a container whose HostConfig says nothing. */
void docker_rights_init(struct docker_rights *r);
/* 0, or -EINVAL or -EOPNOTSUPP with a text in Docker's words. Borrows from host. */
int docker_rights_parse(struct json_object *host, struct docker_rights *r, struct error **err);
