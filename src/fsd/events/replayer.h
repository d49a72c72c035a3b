/* SPDX-License-Identifier: Apache-2.0
 * The process inside that replays the host's changes: its number, in memory that outlives a worker
 * (struct share_state). */
#pragma once

#include "fsd/request/share.h"

/* Whether there is a replayer, or was one a moment ago. */
int replayer_exists(const struct share_state *state);
/* The process that replays from now on; 0: none. owes: the one so far was told of something that it
 * did not say it had done. */
void replayer_set(struct share_state *state, uint32_t pid, int owes);
int replayer_is(struct share_state *state, uint32_t pid, uint32_t uid);
/* Forgets all of them: another guest's processes may have these numbers. */
void replayer_forget(struct share_state *state);
