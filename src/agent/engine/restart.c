/* SPDX-License-Identifier: Apache-2.0
 * POST /containers/ * /restart and /rename.
 *
 * A restart is an end and a start of the same container. `again` keeps it from being removed in
 * between (--rm), and starts it also where the client that asked is gone. */
#include <errno.h>

#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/parse.h"

enum { SECONDS_MAX = 1000000 };

/* ---- restart ---- */

static int64_t wanted_seconds(struct http_exchange *x)
{
	AUTOFREE char *text = engine_query(x, "t");
	uint64_t n = 0;
	return text && parse_u64(text, &n) == 0 ? (int64_t)MIN(n, (uint64_t)SECONDS_MAX) : -1;
}

void engine_restart(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	c->restarting = 1;
	if (!c->pid) {
		engine_start(e, x, name);
		return;
	}
	if (c->remove || c->starter || e->stopping) {
		c->restarting = 0;
		error_set(&err, EBUSY, "container %s is starting or ending; try again", c->record.id);
		engine_error(x, -EBUSY, err);
		return;
	}
	c->again = 1;
	c->starter = x;
	c->starter_kind = WAIT_NOT;
	http_exchange_on_closed(x, container_starter_gone, c);
	container_stop(c, wanted_seconds(x));
}

/* ---- rename ---- */

static int check_new_name(const struct container *c, const char *wish, const char **ret_name, struct error **err)
{
	if (!wish || !*wish)
		return error_set(err, EINVAL, "Neither old nor new names may be empty");
	if (streq(wish[0] == '/' ? wish + 1 : wish, c->record.name))
		return error_set(err, EINVAL, "Renaming a container with the same name as its current name");
	return container_check_name(c->engine, wish, ret_name, err);
}

void engine_rename(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *wish = engine_query(x, "name");
	const char *wanted = NULL;
	if (!c)
		return;
	int r = check_new_name(c, wish, &wanted, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	AUTOFREE char *old = xasprintf("/%s", c->record.name);
	free(c->record.name);
	c->record.name = xstrdup(wanted);
	container_save(c);
	event_container(c, "rename", "oldName", old);
	http_respond(x, 204, NULL, NULL, 0);
}
