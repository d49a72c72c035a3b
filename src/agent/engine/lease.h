/* SPDX-License-Identifier: Apache-2.0
 * The addresses that a container keeps from being given out: its own, or those of the container
 * whose network it shares, whose end it may outlive. */
#pragma once

#include "agent/engine/networks.h"

struct lease {
	char *network; /* id */
	uint32_t address;
	unsigned interface; /* ethN in the network namespace */
};

/* The address is taken already. */
void lease_add(struct container *c, const struct network *n, uint32_t address, unsigned interface);
void lease_copy(struct container *c, const struct container *from);
/* Gives back what no other container has. */
void lease_drop(struct container *c, uint32_t address);
void lease_drop_all(struct container *c);
/* Gives back an address that only containers in an ended one's network have, and removes their
 * interface, as Docker does at that end: the address is wanted. */
void lease_evict(struct engine *e, const struct network *n, uint32_t address);
/* For the monitor's note, and the way back. */
struct json_object *lease_store(const struct container *c);
void lease_load(struct container *c, struct json_object *array);
