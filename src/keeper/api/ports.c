/* SPDX-License-Identifier: Apache-2.0
 * POST and DELETE /v1/ports: what `port add`, `port rm` and `set publish=` change takes effect
 * in the running machine. PUT /v1/auto-ports does the same for `set auto-ports=`;
 * POST /v1/auto-ports asks for a port that has opened by itself. */
#include <errno.h>

#include "keeper/api/resources.h"
#include "base/alloc.h"
#include "keeper/keeper.h"

/* Parses the port and changes it, then answers. text may be NULL. */
static void change(struct http_exchange *x, const char *text,
    int (*apply)(struct keeper *k, const struct machine_publish *spec, struct error **err), struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	struct machine_publish port = { 0 };
	int r = text ? machine_publish_parse(text, &port, &err) :
		       error_set(&err, EINVAL, "which port? (port=[IP:]HOST:INSIDE[/udp])");
	if (r == 0)
		r = apply(k, &port, &err);
	machine_publish_done(&port);
	if (r < 0)
		http_respond_error(x, r, err);
	else
		http_respond_json(x, 200, NULL);
}

static void change_by_body(struct http_exchange *x,
    int (*apply)(struct keeper *k, const struct machine_publish *spec, struct error **err), struct keeper *k)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	const char *text = NULL;
	int r = body ? json_get_string(body, "port", &text, &err) : -EINVAL;
	if (r < 0 && r != -ENOENT)
		http_respond_error(x, r, err);
	else
		change(x, text, apply, k);
}

void api_post_port(struct http_exchange *x, void *data)
{
	change_by_body(x, keeper_add_port, data);
}

void api_post_auto_ports(struct http_exchange *x, void *data)
{
	change_by_body(x, keeper_yield_port, data);
}

void api_delete_port(struct http_exchange *x, void *data)
{
	AUTOFREE char *text = http_target_query(http_exchange_head(x)->target, "port");
	change(x, text, keeper_remove_port, data);
}

void api_put_auto_ports(struct http_exchange *x, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	const char *address = NULL;
	int on = 0;
	int r = body ? json_get_bool(body, "on", &on, &err) : -EINVAL;
	if (r == 0 && (r = json_get_string(body, "address", &address, &err)) == -ENOENT)
		r = 0;
	if (r == 0)
		r = keeper_set_auto_ports(data, on, address, &err);
	if (r < 0)
		http_respond_error(x, r == -ENOENT ? -EINVAL : r, err);
	else
		http_respond_json(x, 200, NULL);
}
