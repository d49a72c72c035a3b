/* SPDX-License-Identifier: Apache-2.0
 * The decision before each sleep. */
#include "fsd/vhost/polling.h"

#include "base/macros.h"

int polling_pays(struct polling *p)
{
	if (p->sleeps == 0)
		return 1;
	p->sleeps--;
	return 0;
}

void polling_note(struct polling *p, int found)
{
	p->fails = found ? 0 : MIN(p->fails ? p->fails * 2 : 1U, (uint32_t)POLLING_SLEEPS_MAX);
	p->sleeps = p->fails;
}
