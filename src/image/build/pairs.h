/* SPDX-License-Identifier: Apache-2.0
 * Texts "NAME=VALUE" in the order in which their names came first, found by name without a search
 * through all of them: a Dockerfile may have a hundred thousand. Zeroed to begin. */
#pragma once

#include <stdint.h>

#include "base/strv.h"

struct pairs {
	struct strv list;
	uint32_t *slots; /* a place in the list, from 1; 0: free */
	size_t room;     /* of the slots: a power of two */
	uint64_t seed;   /* of the hash; set with the first room */
};
void pairs_done(struct pairs *p);
#define AUTO_PAIRS CLEANUP(pairs_done)

/* Sets or replaces one; its place in the list. */
size_t pairs_set(struct pairs *p, const char *name, const char *value);
/* Adds a text as it is, also of a name that is there: the last one counts. */
void pairs_add(struct pairs *p, const char *text);
void pairs_add_all(struct pairs *p, const struct strv *texts);
/* The value of a name; borrowed, or NULL. */
const char *pairs_get(const struct pairs *p, const char *name);
