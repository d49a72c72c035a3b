/* SPDX-License-Identifier: Apache-2.0
 * A replayer that has ended may still have a request under way, so its process id stays refused for
 * a time. */
#include "fsd/events/replayer.h"

#include "base/clock.h"
#include "fsd/files/shared.h"

enum {
	BEFORE_MS = 10 * 1000, /* far longer than the request of a dead process can take */
	OWING_MS = 600 * 1000, /* a request can wait inside for a directory's lock */
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

/* The slot to reuse: the one of this pid, an unused one, or the one that ends first. */
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

/* A predecessor was root. A process that has its id by now is root rarely. */
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
