/* SPDX-License-Identifier: Apache-2.0
 * A machine that stands still because of the host, and the clients that want to know. */
#include "base/alloc.h"
#include "base/log.h"
#include "keeper/agent/clock_watch.h"
#include "keeper/agent/text.h"
#include "keeper/keeper_private.h"

struct pause_watcher {
	struct keeper *keeper;
	struct pause_watcher *next;
	void (*changed)(const char *why, void *data);
	void *data;
};

void keeper_set_paused(struct keeper *k, const char *why)
{
	free(k->paused);
	k->paused = why ? text_clean(why) : NULL;
	log_warning("%s%s", k->paused ? "paused: " : "the machine goes on", k->paused ? k->paused : "");
	if (why && !k->session_ready) {
		AUTOFREE char *text = xasprintf("paused: %s", why);
		keeper_tell_stage(k, text);
	}
	for (struct pause_watcher *w = k->pause_watchers, *next; w; w = next) {
		next = w->next;
		w->changed(k->paused, w->data);
	}
	if (!why)
		clock_watch_push(k->clock, "the machine was paused");
}

struct pause_watcher *keeper_watch_pauses(struct keeper *k, void (*changed)(const char *why, void *data), void *data)
{
	struct pause_watcher *w = xnew(struct pause_watcher);
	*w = (struct pause_watcher){ .keeper = k, .next = k->pause_watchers, .changed = changed, .data = data };
	k->pause_watchers = w;
	if (k->paused)
		changed(k->paused, data);
	return w;
}

void keeper_watch_pauses_cancel(struct pause_watcher *w)
{
	struct pause_watcher **at = &w->keeper->pause_watchers;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	free(w);
}
