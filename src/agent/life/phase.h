/* SPDX-License-Identifier: Apache-2.0
 * The phases of a machine's life, and the way from one to the next. */
#pragma once

#include "agent/core/agent.h"

/* Enters a phase and begins its work: 0. -EPERM: no way leads there from the present phase, and
 * nothing changes; a machine that stops never boots again. */
int agent_enter(struct agent *a, enum agent_phase phase);
/* Ends a boot that failed: the machine is idle again, unless it stops already, and the keeper hears
 * why. The arguments are those of boot_fail(). */
void agent_fail(struct agent *a, int code, const char *text, struct json_object *log);
