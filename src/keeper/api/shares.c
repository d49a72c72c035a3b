/* SPDX-License-Identifier: Apache-2.0
 * POST and DELETE /v1/shares. A client that goes away in the middle changes nothing: the work goes
 * on, its answer is dropped. */
#include <errno.h>

#include "base/alloc.h"
#include "keeper/api/resources.h"
#include "keeper/keeper.h"

struct change {
	struct http_exchange *exchange; /* NULL: the client is gone */
};

static void on_closed(void *data)
{
	((struct change *)data)->exchange = NULL;
}

static void on_done(int code, const char *text, void *data)
{
	struct change *c = data;
	AUTO_ERROR struct error *err = NULL;
	if (code < 0)
		error_set(&err, -code, "%s", text ? text : strerror(-code));
	if (c->exchange && code < 0)
		http_respond_error(c->exchange, code, err);
	else if (c->exchange)
		http_respond_json(c->exchange, 200, NULL);
	free(c);
}

static struct change *change_new(struct http_exchange *x)
{
	struct change *c = xnew(struct change);
	c->exchange = x;
	http_exchange_on_closed(x, on_closed, c);
	return c;
}

void api_post_share(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	const char *host = NULL, *inside = NULL;
	int read_only = 0;
	int r = body ? json_get_string(body, "host", &host, &err) : -EINVAL;
	if (r == 0)
		r = json_get_string(body, "inside", &inside, &err);
	if (r == 0 && (r = json_get_bool(body, "read_only", &read_only, &err)) == -ENOENT)
		r = 0;
	if (r < 0) {
		http_respond_error(x, r == -ENOENT ? EINVAL : r, err);
		return;
	}
	keeper_add_share(data, host, inside, read_only, on_done, change_new(x));
}

void api_delete_share(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *inside = http_target_query(http_exchange_head(x)->target, "inside");
	if (!inside) {
		error_set(&err, EINVAL, "which share? (inside=PATH)");
		http_respond_error(x, EINVAL, err);
		return;
	}
	keeper_remove_share(data, inside, on_done, change_new(x));
}
