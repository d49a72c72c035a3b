/* SPDX-License-Identifier: Apache-2.0
 * Whether looking for the next request for a moment pays. A guest that waits for each answer asks
 * again within microseconds; to see that costs less than to sleep and be woken, and the guest need
 * not leave its virtual processor to wake anybody. But where it does not ask that soon, or cannot
 * because we hold the processor that it needs, looking is a loss. So a look without success is
 * followed by sleeping without one: once, then twice, four times and so on, at most PACE_SLEEPS_MAX
 * times. */
#pragma once

#include <stdint.h>

enum {
	PACE_LOOK_NS = 32000, /* what a sleep and being woken take; QEMU's own threads look as long */
	PACE_SLEEPS_MAX = 1024,
};

/* All 0 at the beginning. */
struct pace {
	uint32_t sleeps; /* to do before the next look */
	uint32_t fails;  /* sleeps after the next look, if that one fails as the last did */
};

/* Before a sleep: 1 to look first. */
int pace_may_look(struct pace *p);
/* After a look. */
void pace_found(struct pace *p, int found);
