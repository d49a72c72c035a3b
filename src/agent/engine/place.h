/* SPDX-License-Identifier: Apache-2.0
 * The way of the engine's process from the agent into the machine. */
#pragma once

#include "agent/core/agent.h"
#include "base/error.h"
#include "base/json.h"
#include "idmap/idmap.h"

struct engine_place {
	const struct agent *agent;
	int connections; /* the engine's end */
	const char *crun;
};

/* (worker) Becomes the engine: gives up the agent's rights, makes a root file system of its own and
 * executes this program again. Returns on failure only. */
int engine_place(int channel, void *place, struct error **err);
/* The mapping of containers in the engine's argument; own: of those with --userns. */
int engine_place_parse_ids(struct json_object *go, int own, struct idmap *ret, struct error **err);
