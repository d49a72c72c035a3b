/* SPDX-License-Identifier: Apache-2.0
 * The cgroup of a container (cgroups(7)): limits, freezing, OOM kills. All of it has cgroups of one
 * hierarchy, version 2, whose root the engine sees at ENGINE_CGROUPS (place_cgroup.h). */
#pragma once

#include "agent/engine/engine.h"

#define ENGINE_CGROUPS "/sys/fs/cgroup"

/* Finds out which limits this machine has: bits of docker_limit. */
unsigned cgroups_find(int has_cgroup);
/* Takes members of a create or update body that cannot be honoured out of HostConfig, and checks
 * the others. 0, or -EINVAL in Docker's words. */
int cgroups_check(const struct engine *e, struct json_object *host, struct strv *warnings, struct error **err);

/* Makes it with its limits. 0 or -errno. */
int container_cgroup_make(const struct container *c, struct error **err);
/* Writes these limits into it. 0 or -errno. */
int container_cgroup_limit(const struct container *c, const struct docker_limits *l, struct error **err);
/* Removes it and what is below it, once nothing runs in it. */
void container_cgroup_remove(const struct container *c);
/* Its path below ENGINE_CGROUPS, for crun; owned. */
char *container_cgroup_path(const struct container *c);
/* Opens its directory, and that below it in which the container's first process is. A descriptor,
 * or -errno; -ENOENT: it has none. */
int container_cgroup_directory(const struct container *c);
int container_cgroup_below(const struct container *c);
/* Reads a file of it; owned, or NULL. */
char *container_cgroup_read(const struct container *c, const char *name);
int container_cgroup_write(const struct container *c, const char *name, const char *text); /* 0 or -errno */
/* Opens a file of it for EPOLLPRI, which comes with each change after a read. A descriptor or
 * -errno. */
int container_cgroup_open(const struct container *c, const char *name);
/* The number behind "KEY " at the beginning of a line; -1: none. */
int64_t cgroup_number(const char *text, const char *key);

/* It runs, or was found running: watches for OOM kills. */
void container_oom_watch(struct container *c);
/* Takes in what was not told yet. */
void container_oom_look(struct container *c);
void container_oom_end(struct container *c);
