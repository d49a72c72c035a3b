/* SPDX-License-Identifier: Apache-2.0
 * The known word nearest to a mistyped one. */
#pragma once

enum { SUGGESTION_NEAR = 2 }; /* letters that may be wrong */

struct suggestion {
	const char *word; /* as typed; borrowed */
	const char *near; /* the nearest candidate so far, borrowed; or NULL */
	unsigned distance;
};
#define SUGGESTION(typed) ((struct suggestion){ .word = (typed), .distance = SUGGESTION_NEAR + 1 })

/* Compares the typed word with one more candidate, which must outlive s. */
void suggestion_offer(struct suggestion *s, const char *candidate);
