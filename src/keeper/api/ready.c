/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/ready?level=session|init: JSON lines until the machine is so far. */
#include <errno.h>

#include "base/alloc.h"
#include "keeper/api/resources.h"
#include "keeper/keeper.h"

struct ready {
	struct http_exchange *exchange;
	struct keeper_waiter *waiter;
};

static void send_line(struct ready *ready, const char *key, const char *text)
{
	struct json_object *line = json_object_new_object();
	json_add_string(line, key, text);
	http_stream_json(ready->exchange, line);
}

static void on_stage(const char *text, void *data)
{
	send_line(data, "stage", text);
}

static void on_warning(const char *text, void *data)
{
	send_line(data, "warning", text);
}

static void on_done(const struct keeper_failure *failure, void *data)
{
	struct ready *ready = data;
	struct json_object *line = json_object_new_object();
	if (failure) {
		json_add_string(line, "error", failure->text);
		json_add_string(line, "code", strerrorname_np(-failure->code));
		json_add_strv(line, "log", &failure->log);
	} else {
		json_add_string(line, "state", "running");
	}
	http_stream_json(ready->exchange, line);
	http_stream_end(ready->exchange);
	free(ready);
}

static void on_closed(void *data)
{
	struct ready *ready = data;
	keeper_wait_cancel(ready->waiter);
	free(ready);
}

void api_get_ready(struct http_exchange *x, void *data)
{
	static const struct keeper_wait_events events = { .stage = on_stage, .warning = on_warning, .done = on_done };
	AUTOFREE char *level = http_target_query(http_exchange_head(x)->target, "level");
	AUTO_ERROR struct error *err = NULL;
	if (level && !streq(level, "session") && !streq(level, "init")) {
		error_set(&err, EINVAL, "level is \"session\" or \"init\"");
		http_respond_error(x, EINVAL, err);
		return;
	}
	struct ready *ready = xnew(struct ready);
	ready->exchange = x;
	http_stream_begin(x, 200);
	http_exchange_on_closed(x, on_closed, ready);
	struct keeper_waiter *w =
	    keeper_wait(data, streq(level, "init") ? KEEPER_LEVEL_INIT : KEEPER_LEVEL_SESSION, &events, ready);
	if (w)
		ready->waiter = w;
}
