/* SPDX-License-Identifier: Apache-2.0
 * A replayer that was lost may have a request on its way yet, so its number stays refused for a
 * time. */
#include "fsd/events/replayer.h"

#include "base/clock.h"
#include "fsd/files/shared.h"

enum {
	BEFORE_MS = 10 * 1000, /* a request of a process that has died comes much sooner */
	OWING_MS = 600 * 1000, /* one that waits inside, for whoever holds a lock on the directory, can come late */
};

int replayer_exists(const struct share_state *state)
{
	uint32_t any = state->replayer;
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++)
		any |= state->before[n].pid;
	return any != 0;
}

void replayer_forget(struct share_state *state)
{
	SHARED_SET(state->replayer, 0U);
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++)
		SHARED_SET(state->before[n].pid, 0U);
}

/* The one that is forgotten for another: an unused one, or that of the earliest end. */
static unsigned before_to_use(const struct share_state *state, uint32_t pid)
{
	unsigned found = 0;
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++) {
		if (state->before[n].pid == pid)
			return n;
		if (state->before[found].pid &&
		    (!state->before[n].pid || state->before[n].until_ms < state->before[found].until_ms))
			found = n;
	}
	return found;
}

void replayer_set(struct share_state *state, uint32_t pid, int owes)
{
	if (state->replayer && state->replayer != pid) {
		unsigned n = before_to_use(state, state->replayer);
		state->before[n].until_ms = clock_deadline(owes ? OWING_MS : BEFORE_MS);
		SHARED_SET(state->before[n].pid, state->replayer);
	}
	SHARED_SET(state->replayer, pid);
}

/* Those before were root as well, which whoever has their number by now mostly is not. */
int replayer_is(struct share_state *state, uint32_t pid, uint32_t uid)
{
	int found = pid && pid == state->replayer;
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++) {
		if (state->before[n].pid && clock_now_ms() >= state->before[n].until_ms)
			SHARED_SET(state->before[n].pid, 0U);
		found |= pid && uid == 0 && pid == state->before[n].pid;
	}
	return found;
}
