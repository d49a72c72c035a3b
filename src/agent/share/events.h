/* SPDX-License-Identifier: Apache-2.0
 * Changes that the host makes in shares, told to whoever watches inside (base/share_events.h). */
#pragma once

#include "agent/core/agent.h"

/* Begins, a moment after the machine is ready, where one of the machine's shares has events; again
 * does nothing. */
void share_events_start(struct agent *a);
/* A share that came (mounted at AGENT_SHARES) or is about to go, while the machine runs. */
void share_events_add(struct agent *a, const struct boot_share *s);
void share_events_remove(struct agent *a, const char *tag);
