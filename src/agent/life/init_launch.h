/* SPDX-License-Identifier: Apache-2.0
 * The launch of a machine's init through crun, as a worker. */
#pragma once

#include "agent/core/agent.h"
#include "agent/core/platform.h"

struct init_launch {
	const struct platform *platform;
	const struct boot_request *request;
	unsigned start; /* how many inits this machine had before */
};

/* The machine's init: holm's own has no path. */
struct init_program {
	const char *path;
	enum init_kind kind;
	int own_boot_id;      /* needs one that boot_id_make() has made */
	const char *hostname; /* NULL: the request's */
};

/* A worker_fn; data is a struct init_launch. Messages: {"fd":"console"|"notify"|"inittab"} with
 * their descriptors, then {"pid":N,"kind":K,"init":TEXT,"bus":bool}. */
int init_launch_run(int channel, void *launch, struct error **err);
/* A worker_fn: cgroup2 allows no processes beside child groups with controllers, so an init that
 * does not sort itself gets a leaf of its own. Nobody waits for it: moving a process costs
 * milliseconds. */
int init_launch_settle(int channel, void *data, struct error **err);
/* Which init a (resolved) path is. */
enum init_kind init_kind_of(const char *resolved);
/* config.json for this request: owned. filter_inittab: the bundle has an inittab to put over the
 * machine's. */
struct json_object *init_launch_spec(const struct platform_container *c, const struct boot_request *b,
    const struct init_program *init, const char *kernel_release, int filter_inittab);
