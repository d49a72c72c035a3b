/* SPDX-License-Identifier: Apache-2.0
 * A write of the guest's fails on the host: its file system is full, the user's disk quota is used
 * up, or the disk has an error.
 *
 * virtio-blk has no word for the first two: the guest would take an input/output error for a broken
 * disk, and its file system would go read-only or lose data. So QEMU stops the guest before the
 * write is answered (werror=stop: werror=enospc leaves a quota out, and nothing in QEMU tells the
 * two apart but the text of the event). For an error of the disk itself this is right, too: most
 * pass, as those of a network file system do, and no data is lost meanwhile.
 *
 * Nobody announces free space, so we look once a second while the guest stands still, and let it go
 * on (cont), upon which QEMU writes again. After another failure we try less and less often. The
 * guest counts as running only when it has run for SETTLE_MS: a failure comes sooner.
 *
 * People hear of it before: a warning when there is less than SPACE_LOW left. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "isolation/vm/room.h"
#include "isolation/vm/run.h"

#define SPACE_LOW (UINT64_C(1) << 30)       /* bytes */
#define SPACE_TO_GO_ON (UINT64_C(16) << 20) /* bytes */

enum {
	LOOK_MS = 1000,
	LOOK_MAX_MS = 30 * 1000, /* also between two tries without free space */
	SOON_MS = 10 * 1000,     /* a pause so soon after the last is of the same kind */
	SETTLE_MS = 300,
	SPACE_LOOK_MS = 60 * 1000,
};

/* The free bytes where the machine's disk lies. */
static uint64_t free_space(const struct isolation_run *run)
{
	AUTOFREE char *directory = machine_dir(run->machine->name);
	return room_left(directory);
}

/* ---- the pause ---- */

static void on_continued(int code, struct json_object *result, const char *why, void *data)
{
	if (code < 0)
		log_warning("QEMU does not go on: %s", why);
}

static void end(struct isolation_run *run)
{
	free(TAKE_PTR(run->pause.why));
	run->pause.settling = 0;
	run->pause.ended_ms = clock_now_ms();
	source_set_timer(run->pause.timer, UINT64_MAX);
	run->events.paused(NULL, run->data);
}

static void on_look(struct source *s, void *data)
{
	struct isolation_run *run = data;
	uint64_t now = clock_now_ms();
	if (!run->pause.why)
		return;
	if (run->pause.settling) {
		end(run);
		return;
	}
	if (free_space(run) >= SPACE_TO_GO_ON || now - run->pause.tried_ms >= LOOK_MAX_MS) {
		run->pause.tried_ms = now;
		qmp_execute(run->qmp, "cont", NULL, -1, on_continued, run);
	}
	source_set_timer(s, clock_deadline(run->pause.wait_ms));
}

/* Says why the guest stands still; owned. */
static char *explain(const struct isolation_run *run, struct json_object *event_data)
{
	AUTOFREE char *directory = machine_dir(run->machine->name);
	const char *reason = "";
	int is_space = 0;
	json_get_bool(event_data, "nospace", &is_space, NULL);
	json_get_string(event_data, "reason", &reason, NULL);
	if (is_space)
		return xasprintf("the host has no space left in %s; it goes on when there is some", directory);
	if (streq(reason, strerror(EDQUOT)))
		return xasprintf("your disk quota on the host is used up in %s; it goes on when there is room",
		    directory);
	return xasprintf("the host cannot write the machine's disk in %s: %s; it goes on when a write works", directory,
	    *reason ? reason : strerror(EIO));
}

/* Takes the reason, and looks in some time. */
static void begin(struct isolation_run *run, char *why)
{
	uint64_t now = clock_now_ms();
	int again = run->pause.settling || (run->pause.ended_ms && now - run->pause.ended_ms < SOON_MS);
	AUTOFREE char *before = TAKE_PTR(run->pause.why);
	run->pause.why = why;
	run->pause.settling = 0;
	run->pause.wait_ms = again ? MIN(2 * run->pause.wait_ms, (uint64_t)LOOK_MAX_MS) : LOOK_MS;
	run->pause.tried_ms = now;
	if (!run->pause.timer)
		loop_add_timer(run->loop, UINT64_MAX, on_look, run, &run->pause.timer);
	source_set_timer(run->pause.timer, clock_deadline(run->pause.wait_ms));
	if (!streq(before, why))
		run->events.paused(run->pause.why, run->data);
}

void pause_event_error(struct isolation_run *run, struct json_object *event_data)
{
	const char *action = "";
	if (event_data)
		json_get_string(event_data, "action", &action, NULL);
	if (!streq(action, "stop"))
		run->events.warning("the machine's disk has an input/output error on the host", run->data);
	else if (!run->pause.why || run->pause.settling)
		begin(run, explain(run, event_data));
}

void pause_event_resumed(struct isolation_run *run)
{
	if (!run->pause.why)
		return;
	run->pause.settling = 1;
	source_set_timer(run->pause.timer, clock_deadline(SETTLE_MS));
}

void pause_done(struct isolation_run *run)
{
	source_free(run->pause.timer);
	source_free(run->pause.space_timer);
	free(run->pause.why);
}

/* ---- the warning ---- */

static void look_for_space(struct isolation_run *run)
{
	AUTOFREE char *directory = machine_dir(run->machine->name), *low = format_size(SPACE_LOW);
	AUTOFREE char *text =
	    xasprintf("less than %s is free on the host in %s; the machine pauses when its disk cannot grow", low,
		directory);
	if (free_space(run) < SPACE_LOW)
		run->events.warning(text, run->data);
}

static void on_space_look(struct source *s, void *data)
{
	look_for_space(data);
	source_set_timer(s, clock_deadline(SPACE_LOOK_MS));
}

void pause_watch_space(struct isolation_run *run)
{
	look_for_space(run);
	loop_add_timer(run->loop, clock_deadline(SPACE_LOOK_MS), on_space_look, run, &run->pause.space_timer);
}
