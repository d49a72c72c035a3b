/* SPDX-License-Identifier: Apache-2.0
 * When to look for the next request. */
#include "fsd/vhost/pace.h"

#include "base/macros.h"

int pace_may_look(struct pace *p)
{
	if (p->sleeps == 0)
		return 1;
	p->sleeps--;
	return 0;
}

void pace_found(struct pace *p, int found)
{
	p->fails = found ? 0 : MIN(p->fails ? p->fails * 2 : 1U, (uint32_t)PACE_SLEEPS_MAX);
	p->sleeps = p->fails;
}
