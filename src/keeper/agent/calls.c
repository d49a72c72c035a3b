/* SPDX-License-Identifier: Apache-2.0
 * The keeper's requests to the agent: its version, boot, stop, and small messages. The answer to
 * boot stays open while the machine runs; a table of handlers reads its lines. An agent that has
 * been respawned after a crash gets the same request, and answers that the machine runs already.
 * All answers come from inside and are checked. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "keeper/agent/job.h"
#include "keeper/agent/text.h"
#include "keeper/keeper_private.h"

enum { AGENT_PROTOCOL = 1, TELL_TIMEOUT_MS = 30 * 1000, POWER_OFF_MS = 30 * 1000 };

/* A call on a new stream. Takes body. */
static int call(struct keeper *k, const char *method, const char *target, struct json_object *body,
    const struct http_call_events *events, uint64_t deadline_ms, struct http_call **ret, struct error **err)
{
	AUTO_JSON struct json_object *owned = body;
	int fd;
	int r = k->transport ? transport_open(k->transport, &fd, err) : error_set(err, ECONNRESET, "there is no agent");
	return r < 0 ? r : http_call(k->loop, fd, method, target, TAKE_PTR(owned), deadline_ms, events, k, ret);
}

static void fail_call(struct keeper *k, int code, const struct error *err)
{
	keeper_fail(k, code, NULL, "the agent inside: %s", error_text(err, code));
}

/* ---- version ---- */

static void on_version(int code, struct json_object *body, const struct error *err, void *data)
{
	struct keeper *k = data;
	uint64_t protocol = 0;
	const char *version = NULL;
	k->call = NULL;
	if (code < 0) {
		fail_call(k, code, err);
		return;
	}
	if (!json_object_is_type(body, json_type_object) || json_get_u64(body, "protocol", &protocol, NULL) < 0)
		protocol = 0;
	else
		json_get_string(body, "version", &version, NULL);
	AUTOFREE char *shown = text_clean(version ? version : "unknown");
	if (protocol != AGENT_PROTOCOL) {
		keeper_fail(k, EPROTO, &(struct strv){ 0 },
		    "the agent inside (version %s) speaks protocol %llu, this holm (%s) speaks %d: the guest bundle is "
		    "not of this installation; install both again",
		    shown, (unsigned long long)protocol, HOLM_VERSION, AGENT_PROTOCOL);
		return;
	}
	log_info("agent %s", shown);
	keeper_enter(k, STAGE_BOOT);
}

void agent_ask_version(struct keeper *k)
{
	static const struct http_call_events events = { .done = on_version };
	AUTO_ERROR struct error *err = NULL;
	/* The stage's deadline bounds it. */
	int r = call(k, "GET", "/v1/version", NULL, &events, UINT64_MAX, &k->call, &err);
	if (r < 0)
		fail_call(k, r, err);
}

/* ---- boot ---- */

static void on_stage_line(struct keeper *k, struct json_object *line, const char *text)
{
	if (k->stage == STAGE_BOOT)
		keeper_tell_stage(k, text);
}

static void on_note_line(struct keeper *k, struct json_object *line, const char *text)
{
	AUTOFREE char *clean = text_clean(text);
	log_info("agent: %s", clean);
}

static void on_init_line(struct keeper *k, struct json_object *line, const char *text)
{
	free(k->init);
	k->init = text_clean(text);
	log_info("the init is %s", k->init);
}

static void on_ready_line(struct keeper *k, struct json_object *line, const char *text)
{
	int init = streq(text, "init");
	if (k->stage == STAGE_BOOT && (init || streq(text, "session")))
		keeper_enter(k, install_is_wanted(k) ? STAGE_INSTALL : script_next_stage(k));
	if (k->stage == STAGE_INSTALL || k->stage == STAGE_SCRIPT)
		k->install_init_up |= init;
	if (k->stage == STAGE_READY && init)
		keeper_enter(k, STAGE_RUNNING);
}

static void on_error_line(struct keeper *k, struct json_object *line, const char *text)
{
	AUTO_STRV struct strv log = { 0 };
	AUTOFREE char *clean = text_clean(text);
	struct json_object *lines = NULL;
	const char *code = NULL;
	json_get_array(line, "log", &lines, NULL);
	json_get_string(line, "code", &code, NULL);
	text_clean_lines(lines, &log);
	int number = 0;
	for (int i = 1; code && i < 256 && !number; i++)
		number = streq(strerrorname_np(i), code) ? i : 0;
	AUTOFREE char *shortage = k->ops->shortage ? k->ops->shortage(k->run) : NULL;
	keeper_fail(k, number ? number : EIO, &log, "%s%s%s%s", clean, shortage ? " (" : "", shortage ? shortage : "",
	    shortage ? ")" : "");
}

static void on_ended_line(struct keeper *k, struct json_object *line, const char *text)
{
	AUTOFREE char *clean = text_clean(text);
	if (k->stage >= STAGE_STOPPING)
		return;
	log_info("the init has ended (%s)", clean);
	keeper_enter(k, STAGE_STOPPING);
	source_set_timer(k->deadline, k->stop_deadline_ms = clock_deadline(POWER_OFF_MS));
}

static void on_rebooting_line(struct keeper *k, struct json_object *line, const char *text)
{
	if (k->stage != STAGE_INSTALL && k->stage != STAGE_READY && k->stage != STAGE_RUNNING)
		return;
	log_info("the init restarts");
	job_cancel(TAKE_PTR(k->job));
	k->session_ready = k->init_ready = 0;
	k->stage = STAGE_BOOT; /* the boot's answer goes on: no new request */
	source_set_timer(k->deadline, clock_deadline(k->options.boot_timeout_ms));
	keeper_tell_stage(k, "restarting");
}

static const struct {
	const char *key;
	/* text: the key's value, "" where it is no string */
	void (*handle)(struct keeper *k, struct json_object *line, const char *text);
} boot_lines[] = {
	{ "stage", on_stage_line },
	{ "note", on_note_line },
	{ "init", on_init_line },
	{ "ready", on_ready_line },
	{ "error", on_error_line },
	{ "ended", on_ended_line },
	{ "rebooting", on_rebooting_line },
};

static void on_boot_line(struct json_object *line, void *data)
{
	struct keeper *k = data;
	struct json_object *value;
	for (size_t i = 0; i < ARRAY_SIZE(boot_lines); i++) {
		if (!json_object_is_type(line, json_type_object) ||
		    !json_object_object_get_ex(line, boot_lines[i].key, &value))
			continue;
		boot_lines[i].handle(k, line,
		    json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "");
		return;
	}
}

static void on_boot_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct keeper *k = data;
	k->call = NULL;
	/* Later the isolation's own events say what became of the machine. */
	if (k->stage == STAGE_BOOT)
		fail_call(k, code < 0 ? code : -ECONNRESET, err);
	else if (code < 0)
		log_warning("the boot's answer ended: %s", error_text(err, code));
}

void agent_boot(struct keeper *k)
{
	static const struct http_call_events events = { .line = on_boot_line, .done = on_boot_done };
	AUTO_ERROR struct error *err = NULL;
	int r = call(k, "POST", "/v1/boot", boot_request_new(k), &events, UINT64_MAX, &k->call, &err);
	if (r < 0)
		fail_call(k, r, err);
}

/* ---- stop and small news ---- */

static void on_stop_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct keeper *k = data;
	k->stop_call = NULL;
	if (code < 0)
		log_warning("stop: %s", error_text(err, code));
}

void agent_stop(struct keeper *k, uint64_t timeout_ms)
{
	static const struct http_call_events events = { .done = on_stop_done };
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = json_object_new_object();
	json_add_u64(body, "timeout_ms", timeout_ms);
	http_call_cancel(TAKE_PTR(k->stop_call));
	int r = call(k, "POST", "/v1/stop", body, &events, k->stop_deadline_ms, &k->stop_call, &err);
	if (r < 0)
		log_warning("stop: %s", error_text(err, r));
}

void agent_forget_calls(struct keeper *k)
{
	http_call_cancel(TAKE_PTR(k->call));
	http_call_cancel(TAKE_PTR(k->stop_call));
	job_cancel(TAKE_PTR(k->job));
}

static void on_told(int code, struct json_object *body, const struct error *err, void *data)
{
	if (code < 0)
		log_warning("agent: %s", error_text(err, code));
}

void agent_tell(struct keeper *k, const char *method, const char *target, struct json_object *body)
{
	static const struct http_call_events events = { .done = on_told };
	AUTO_JSON struct json_object *owned = body;
	if (k->transport && k->session_ready)
		call(k, method, target, TAKE_PTR(owned), &events, clock_deadline(TELL_TIMEOUT_MS), NULL, NULL);
}
