/* SPDX-License-Identifier: Apache-2.0
 * POST /containers/ * /update, and POST /containers/prune. */
#include <errno.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/events.h"
#include "agent/engine/sizes.h"
#include "agent/engine/stack.h"
#include "base/alloc.h"
#include "docker/filters.h"

/* ---- update ---- */

/* Checks the policy that is wanted, if any, and adds it to host. */
static int update_policy(const struct container *c, struct json_object *o, struct json_object *host, struct error **err)
{
	struct json_object *policy = NULL;
	struct docker_body wanted = { 0 };
	const char *name = "";
	int r = json_get_object(o, "RestartPolicy", &policy, err);
	if (r == -ENOENT || (r == 0 && (json_get_string(policy, "Name", &name, NULL) < 0 || !*name)))
		return 0;
	if (r < 0 || (r = docker_restart_parse(policy, &wanted, err)) < 0)
		return r;
	if (c->record.body.auto_remove && wanted.restart != DOCKER_RESTART_NO)
		return error_set(err, EINVAL,
		    "Restart policy cannot be updated because AutoRemove is enabled for the container");
	json_object_object_add(host, "RestartPolicy", json_object_get(policy));
	return 0;
}

/* The cgroup of a container that runs stays where it is. */
static int check_refused(const struct container *c, struct json_object *o, struct error **err)
{
	static const char *const refused[] = { "CpuRealtimePeriod", "CpuRealtimeRuntime" };
	int64_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (json_get_i64(o, refused[i], &n, NULL) == 0 && n != 0)
			return error_set(err, EOPNOTSUPP, "%s is not supported by holm's engine; leave it out",
			    refused[i]);
	const char *parent = "";
	if (json_get_string(o, "CgroupParent", &parent, NULL) == 0 && *parent &&
	    !streq(parent, c->record.body.limits.cgroup_parent))
		return error_set(err, EINVAL, "CgroupParent (--cgroup-parent) cannot be updated; leave it out");
	return 0;
}

/* The record's own HostConfig stays: others borrow from it. */
static void keep(struct container *c, struct json_object *host)
{
	struct json_object *own = NULL, *policy = NULL;
	if (json_get_object(c->record.data, "HostConfig", &own, NULL) < 0) {
		own = json_object_new_object();
		json_add(c->record.data, "HostConfig", own);
	}
	docker_limits_copy(own, host);
	(void)docker_limits_parse(own, &c->record.body.limits, NULL);
	if (json_object_object_get_ex(host, "RestartPolicy", &policy) && policy) {
		json_object_object_add(own, "RestartPolicy", json_object_get(policy));
		(void)docker_restart_parse(policy, &c->record.body, NULL);
	}
}

/* All of it or nothing: host is a copy until everything was fine. */
static int update(struct container *c, struct json_object *o, struct strv *warnings, struct error **err)
{
	struct json_object *before = NULL;
	AUTO_JSON struct json_object *host = NULL;
	struct docker_limits limits;
	if (json_get_object(c->record.data, "HostConfig", &before, NULL) < 0)
		host = json_object_new_object();
	else if (json_object_deep_copy(before, &host, NULL) < 0)
		return -ENOMEM;
	int r = check_refused(c, o, err);
	if (r < 0 || (r = docker_limits_merge(host, o, err)) < 0 || (r = update_policy(c, o, host, err)) < 0 ||
	    (r = cgroups_check(c->engine, host, warnings, err)) < 0 ||
	    (r = docker_limits_parse(host, &limits, err)) < 0)
		return r;
	if (c->pid && c->engine->limits && (r = container_cgroup_limit(c, &limits, err)) < 0)
		return r;
	keep(c, host);
	return 0;
}

void engine_update(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv warnings = { 0 };
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	struct json_object *o = http_exchange_json(x, &err);
	int r = o ? update(c, o, &warnings, &err) : -EINVAL;
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	container_save(c);
	policy_mark(e);
	event_container(c, "update", NULL, NULL);
	struct json_object *answer = json_object_new_object();
	json_add_strv(answer, "Warnings", &warnings);
	http_respond_json(x, 200, answer);
}

/* ---- prune ---- */

struct prune {
	struct engine *engine;
	struct http_exchange *exchange; /* NULL: the client is gone */
	struct json_object *deleted;
	size_t left;
	uint64_t bytes;
};

static void on_closed(void *data)
{
	((struct prune *)data)->exchange = NULL;
}

static void conclude(struct prune *p)
{
	struct json_object *answer = json_object_new_object();
	json_add(answer, "ContainersDeleted", p->deleted);
	json_add_u64(answer, "SpaceReclaimed", p->bytes);
	event_prune(p->engine, "container", p->bytes);
	if (p->exchange) {
		http_exchange_on_closed(p->exchange, NULL, NULL);
		http_respond_json(p->exchange, 200, answer);
	} else {
		json_object_put(answer);
	}
	free(p);
}

void prune_gone(struct container *c)
{
	struct prune *p = TAKE_PTR(c->prune);
	if (p && --p->left == 0)
		conclude(p);
}

static int is_wanted(const struct container *c, struct json_object *filters, int64_t until)
{
	int idle = !c->pid && !c->starting && !c->ended && !c->preparing && !c->starter && !c->remove;
	return idle && !stack_is_held(c) && !policy_is_waiting(c) && (!until || c->record.created < until) &&
	       docker_filters_match_labels(filters, c->record.body.labels);
}

static void prune(struct engine *e, struct http_exchange *x, const char *name, const struct sizes *sizes)
{
	AUTO_JSON struct json_object *filters = NULL;
	int64_t until = 0;
	(void)engine_prune_filters(x, &filters, &until, NULL); /* engine_prune() has looked */
	struct prune *p = xnew(struct prune);
	*p = (struct prune){ .engine = e, .exchange = x, .deleted = json_object_new_array(), .left = 1 };
	http_exchange_on_closed(x, on_closed, p);
	for (struct container *c = e->containers; c; c = c->next) {
		if (!is_wanted(c, filters, until))
			continue;
		json_object_array_add(p->deleted, json_object_new_string(c->record.id));
		p->left++;
		p->bytes += sizes_of_container(sizes, c->record.id);
		c->prune = p;
		container_remove(c);
	}
	if (--p->left == 0)
		conclude(p);
}

void engine_prune(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_SIZES_WISH struct sizes_wish wish = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *filters = NULL;
	int64_t until;
	int r = engine_prune_filters(x, &filters, &until, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	for (const struct container *c = e->containers; c; c = c->next)
		if (is_wanted(c, filters, until))
			strv_add(&wish.containers, c->record.id);
	sizes_count(e, x, name, &wish, prune);
}
