/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/pauses: a JSON line when the machine is paused, now or later, and when it goes on. */
#include "base/alloc.h"
#include "keeper/api/resources.h"
#include "keeper/keeper.h"

struct pauses {
	struct http_exchange *exchange;
	struct pause_watcher *watcher;
};

static void on_changed(const char *why, void *data)
{
	struct json_object *line = json_object_new_object();
	if (why)
		json_add_string(line, "paused", why);
	else
		json_object_object_add(line, "paused", NULL);
	http_stream_json(((struct pauses *)data)->exchange, line);
}

static void on_closed(void *data)
{
	struct pauses *p = data;
	keeper_watch_pauses_cancel(p->watcher);
	free(p);
}

void api_get_pauses(struct http_exchange *x, void *keeper)
{
	struct pauses *p = xnew(struct pauses);
	p->exchange = x;
	http_stream_begin(x, 200);
	http_exchange_on_closed(x, on_closed, p);
	p->watcher = keeper_watch_pauses(keeper, on_changed, p);
}
