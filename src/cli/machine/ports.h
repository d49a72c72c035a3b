/* SPDX-License-Identifier: Apache-2.0
 * Shared by the commands that publish ports. */
#pragma once

#include "machine/machine.h"

/* When a port is needed. */
enum ports_need {
	PORTS_NEEDED_NOW,   /* the machine runs, or boots next */
	PORTS_NEEDED_LATER, /* it stays stopped: the port may be free by then, so a failure is a note */
};
/* Binds each port of `after` that `before` (may be NULL) does not have, and lets it go again: 0,
 * or -errno and an error that names it. */
int ports_try(const struct machine *before, const struct machine *after, enum ports_need need, struct error **err);
/* Lets the running machine follow from the ports of `before` to those of `after`; a note where
 * it cannot. */
void ports_follow(const struct machine *before, const struct machine *after);
