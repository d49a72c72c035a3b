/* SPDX-License-Identifier: Apache-2.0
 * The replayer's process id, and those of its predecessors, in memory that outlives a worker
 * (struct share_state). */
#pragma once

#include "fsd/request/share.h"

/* 1 if there is a replayer, or was one a moment ago; else 0. */
int replayer_exists(const struct share_state *state);
/* Sets the process that replays from now on; 0: none. owes: the previous replayer has not
 * acknowledged its last event. */
void replayer_set(struct share_state *state, uint32_t pid, int owes);
/* 1 if a process is the replayer, or was it a moment ago; else 0. */
int replayer_is(struct share_state *state, uint32_t pid, uint32_t uid);
/* Forgets all of them: in a new guest other processes may have these ids. */
void replayer_forget(struct share_state *state);
