/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/stop {"timeout_ms"}: answered when the machine is gone. */
#include <errno.h>

#include "base/alloc.h"
#include "keeper/api/resources.h"
#include "keeper/keeper.h"

enum { STOP_DEFAULT_MS = 30 * 1000 };

struct stop {
	struct keeper *keeper;
	struct http_exchange *exchange;
};

static void on_gone(void *data)
{
	struct stop *s = data;
	http_respond_json(s->exchange, 200, NULL);
	free(s);
}

static void on_closed(void *data)
{
	struct stop *s = data;
	keeper_stop_cancel(s->keeper, s);
	free(s);
}

void api_post_stop(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	uint64_t timeout_ms = STOP_DEFAULT_MS;
	int r = body ? json_get_u64(body, "timeout_ms", &timeout_ms, &err) : -EINVAL;
	if (r < 0 && r != -ENOENT) {
		http_respond_error(x, r, err);
		return;
	}
	struct stop *s = xnew(struct stop);
	*s = (struct stop){ .keeper = data, .exchange = x };
	http_exchange_on_closed(x, on_closed, s);
	keeper_stop(data, timeout_ms, on_gone, s);
}
