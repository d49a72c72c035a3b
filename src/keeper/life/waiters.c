/* SPDX-License-Identifier: Apache-2.0
 * Those who wait until the machine is ready. A callback may cancel any waiter, so each walk begins
 * again after one was told. */
#include "base/alloc.h"
#include "keeper/keeper_private.h"

static int is_decided(const struct keeper *k, enum keeper_level level)
{
	return k->failure || (level == KEEPER_LEVEL_SESSION ? k->session_ready : k->init_ready);
}

void waiters_tell_stage(struct keeper *k)
{
	for (struct keeper_waiter *w = k->waiters, *next; w; w = next) {
		next = w->next;
		if (w->events.stage)
			w->events.stage(k->stage_text, w->data);
	}
}

void waiters_tell_warning(struct keeper *k, const char *text)
{
	for (struct keeper_waiter *w = k->waiters, *next; w; w = next) {
		next = w->next;
		if (w->events.warning)
			w->events.warning(text, w->data);
	}
}

void waiters_settle(struct keeper *k)
{
	struct keeper_waiter **at = &k->waiters;
	while (*at) {
		struct keeper_waiter *w = *at;
		if (!is_decided(k, w->level)) {
			at = &w->next;
			continue;
		}
		struct keeper_waiter told = *w;
		*at = told.next;
		free(w);
		k->told_failure |= k->failure != NULL;
		told.events.done(k->failure, told.data);
		at = &k->waiters;
	}
}

struct keeper_waiter *keeper_wait(struct keeper *k, enum keeper_level level, const struct keeper_wait_events *events,
    void *data)
{
	if (events->stage && !is_decided(k, level))
		events->stage(k->stage_text, data);
	for (size_t i = 0; events->warning && i < k->warnings.count; i++)
		events->warning(k->warnings.items[i], data);
	if (is_decided(k, level)) {
		k->told_failure |= k->failure != NULL;
		events->done(k->failure, data);
		return NULL;
	}
	struct keeper_waiter *w = xnew(struct keeper_waiter);
	w->keeper = k;
	w->level = level;
	w->events = *events;
	w->data = data;
	w->next = k->waiters;
	k->waiters = w;
	return w;
}

void keeper_wait_cancel(struct keeper_waiter *w)
{
	if (!w)
		return;
	for (struct keeper_waiter **at = &w->keeper->waiters; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	free(w);
}
