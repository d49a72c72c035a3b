/* SPDX-License-Identifier: Apache-2.0
 * Host paths for the engine's containers. The engine is as hostile as root in the machine: it names
 * a path of the host, the keeper says which share holds it, by its list of shares alone, and a
 * worker with the rights of the machine's root clones that part of the share. */
#pragma once

#include "base/json.h"

struct agent;
struct worker;
struct bind_request;

struct binds {
	struct agent *agent;
	struct worker *engine; /* gets the answers; NULL: it has ended */
	struct bind_request *requests;
	size_t count;
};

/* {"bind":NUMBER,"path":PATH}, borrowed. The answer has the number and a descriptor, or "error". */
void binds_ask(struct binds *b, struct json_object *o);
void binds_drop(struct binds *b); /* those that wait get no answer */
