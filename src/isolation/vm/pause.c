/* SPDX-License-Identifier: Apache-2.0
 * The host's file system is full, and a write of the guest's finds no space.
 *
 * virtio-blk has no word for that: the guest would take an input/output error for a broken disk,
 * and its file system would go read-only or lose data. So QEMU stops the guest before the write is
 * answered (werror=enospc). Nobody announces free space, so we look once a second while the guest
 * stands still, and let it go on (cont), upon which QEMU writes again. A file system that refuses
 * although it shows free space (a quota) gets a try from time to time, less and less often.
 *
 * People hear of it before: a warning when there is less than SPACE_LOW left. */
#include <errno.h>
#include <sys/statvfs.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "isolation/vm/run.h"

#define SPACE_LOW (UINT64_C(1) << 30)       /* bytes */
#define SPACE_TO_GO_ON (UINT64_C(16) << 20) /* bytes */

enum {
	LOOK_MS = 1000,
	LOOK_MAX_MS = 30 * 1000, /* also between two tries without free space */
	SOON_MS = 10 * 1000,     /* a pause so soon after the last is of the same kind */
	SPACE_LOOK_MS = 60 * 1000,
};

/* The free bytes where the machine's disk lies. */
static uint64_t free_space(const struct isolation_run *run)
{
	struct statvfs fs;
	AUTOFREE char *directory = machine_dir(run->machine->name);
	return statvfs(directory, &fs) < 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* ---- the pause ---- */

static void on_continued(int code, struct json_object *result, const char *why, void *data)
{
	if (code < 0)
		log_warning("QEMU does not go on: %s", why);
}

static void on_look(struct source *s, void *data)
{
	struct isolation_run *run = data;
	uint64_t now = clock_now_ms();
	if (!run->pause.why)
		return;
	if (free_space(run) >= SPACE_TO_GO_ON || now - run->pause.tried_ms >= LOOK_MAX_MS) {
		run->pause.tried_ms = now;
		qmp_execute(run->qmp, "cont", NULL, -1, on_continued, run);
	}
	source_set_timer(s, clock_deadline(run->pause.wait_ms));
}

static void begin(struct isolation_run *run)
{
	uint64_t now = clock_now_ms();
	int again = run->pause.ended_ms && now - run->pause.ended_ms < SOON_MS;
	AUTOFREE char *directory = machine_dir(run->machine->name);
	run->pause.wait_ms = again ? MIN(2 * run->pause.wait_ms, (uint64_t)LOOK_MAX_MS) : LOOK_MS;
	run->pause.tried_ms = now;
	run->pause.why = xasprintf("the host has no space left in %s; it goes on when there is some", directory);
	if (!run->pause.timer)
		loop_add_timer(run->loop, UINT64_MAX, on_look, run, &run->pause.timer);
	source_set_timer(run->pause.timer, clock_deadline(run->pause.wait_ms));
	run->events.paused(run->pause.why, run->data);
}

void pause_event_error(struct isolation_run *run, struct json_object *event_data)
{
	const char *action = "";
	if (event_data)
		json_get_string(event_data, "action", &action, NULL);
	if (!streq(action, "stop"))
		run->events.warning("the machine's disk has an input/output error on the host", run->data);
	else if (!run->pause.why)
		begin(run);
}

void pause_event_resumed(struct isolation_run *run)
{
	if (!run->pause.why)
		return;
	free(TAKE_PTR(run->pause.why));
	run->pause.ended_ms = clock_now_ms();
	source_set_timer(run->pause.timer, UINT64_MAX);
	run->events.paused(NULL, run->data);
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
