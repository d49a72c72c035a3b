/* SPDX-License-Identifier: Apache-2.0
 * The agent's voice: lines of the open answer to the keeper's boot request. Nobody reads them while
 * the keeper is away. */
#include "agent/life/report.h"

#include <errno.h>

#include "agent/core/platform.h"
#include "agent/share/events.h"
#include "base/log.h"

void boot_line(struct agent *a, const char *key, const char *value)
{
	if (!a->boot_answer)
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, key, value);
	http_stream_json(a->boot_answer, o);
}

void boot_mark_ready(struct agent *a, int init)
{
	int *flag = init ? &a->ready_init : &a->ready_session;
	if (*flag)
		return;
	*flag = 1;
	boot_line(a, "ready", init ? "init" : "session");
	if (!init) {
		a->platform->is_ready(a);
		share_events_start(a);
		engine_machine_ready(a);
	}
	state_save(a);
}

void boot_fail(struct agent *a, int code, const char *text, struct json_object *log)
{
	AUTO_JSON struct json_object *lines = log;
	log_error("boot failed: %s", text);
	if (!a->boot_answer)
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "error", text);
	json_add_string(o, "code", strerrorname_np(code) ? strerrorname_np(code) : "EIO");
	if (lines)
		json_add(o, "log", json_object_get(lines));
	http_stream_json(a->boot_answer, o);
	http_stream_end(TAKE_PTR(a->boot_answer));
}

void boot_ended(struct agent *a, const char *how, int status)
{
	if (!a->boot_answer)
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "ended", how);
	json_add_i64(o, "status", status);
	http_stream_json(a->boot_answer, o);
	http_stream_end(TAKE_PTR(a->boot_answer));
}
