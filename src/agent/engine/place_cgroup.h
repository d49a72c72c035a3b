/* SPDX-License-Identifier: Apache-2.0
 * The cgroup of the engine's place. Containers have theirs beside the engine's. */
#pragma once

/* Descriptors of cgroup.procs; -1: none. */
struct place_cgroup {
	int outer, engine;
};
#define PLACE_CGROUP_NONE ((struct place_cgroup){ -1, -1 })
void place_cgroup_done(struct place_cgroup *g);
#define AUTO_PLACE_CGROUP CLEANUP(place_cgroup_done)

/* With the agent's rights, before leave(): makes both and moves this process into the engine's. A
 * machine that has no cgroup gets none. */
void place_cgroup_make(struct place_cgroup *g);
/* In process 1 of the place, with the rights of the machine's root: makes the outer one the root of
 * a cgroup namespace. 1, or 0 where there is none. */
int place_cgroup_enter(struct place_cgroup *g);
