/* SPDX-License-Identifier: Apache-2.0
 * Adaptive polling: decides whether to poll for the next request before going to sleep.
 *
 * A guest that waits for each reply sends its next request within microseconds. Polling for it
 * costs less than a sleep and a wake-up, and the guest's virtual processor need not exit to wake
 * the worker. If the guest does not send that soon, or cannot because the worker holds its
 * processor, polling is a loss. So after a poll that finds nothing the worker sleeps without
 * polling: once, then twice, four times and so on, at most POLLING_SLEEPS_MAX times. */
#pragma once

#include <stdint.h>

enum {
	POLLING_NS = 32000, /* the cost of a sleep and a wake-up; QEMU's own threads poll as long */
	POLLING_SLEEPS_MAX = 1024,
};

/* All 0 at the beginning. */
struct polling {
	uint32_t sleeps; /* left before the next poll */
	uint32_t fails;  /* sleeps after the next poll, if it finds nothing either */
};

/* Call it before a sleep: 1 to poll first, else 0. */
int polling_pays(struct polling *p);
/* Records the result of a poll. */
void polling_note(struct polling *p, int found);
