/* SPDX-License-Identifier: Apache-2.0
 * See list_filters.h. Of one filter one value must match, of labels all. `publish` and `expose` are
 * one filter: a container passes that has a port of either, as with Docker. */
#include "agent/engine/list_filters.h"

#include <errno.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/health.h"
#include "agent/engine/mounts.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "docker/filters.h"

/* ---- reading ---- */

/* Whether the containers that "before" and "since" name are there: 0 or -errno. */
static int check_others(struct engine *e, struct json_object *filters, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	docker_filters_get(filters, "before", &names);
	docker_filters_get(filters, "since", &names);
	for (size_t i = 0; i < names.count; i++)
		if (!container_find(e, names.items[i], err))
			return -ENOENT;
	return 0;
}

/* A filter whose values are words of a list. */
struct words {
	const char *key, *const *known;
};

static int check_words(struct json_object *filters, const struct words *w, struct error **err)
{
	AUTO_STRV struct strv values = { 0 };
	docker_filters_get(filters, w->key, &values);
	for (size_t i = 0; i < values.count; i++) {
		size_t k = 0;
		while (w->known[k] && !streq(w->known[k], values.items[i]))
			k++;
		if (!w->known[k])
			return error_set(err, EINVAL, "invalid filter '%s=%.64s'", w->key, values.items[i]);
	}
	return 0;
}

static int check_values(struct json_object *filters, struct error **err)
{
	static const char *const states[] = { "created", "running", "paused", "restarting", "removing", "exited",
		"dead", NULL };
	static const char *const healths[] = { "none", "starting", "healthy", "unhealthy", NULL };
	static const char *const flags[] = { "true", "false", "1", "0", NULL };
	static const struct words lists[] = { { "status", states }, { "health", healths }, { "is-task", flags } };
	AUTO_STRV struct strv codes = { 0 };
	uint32_t code;
	int r = docker_filters_check_ports(filters, "publish", err);
	if (r == 0)
		r = docker_filters_check_ports(filters, "expose", err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
		r = check_words(filters, &lists[i], err);
	docker_filters_get(filters, "exited", &codes);
	for (size_t i = 0; r == 0 && i < codes.count; i++)
		if (parse_u32(codes.items[i], &code) < 0)
			r = error_set(err, EINVAL, "invalid filter 'exited=%.64s'", codes.items[i]);
	return r;
}

int container_filters_read(struct engine *e, struct http_exchange *x, struct json_object **ret, struct error **err)
{
	static const char *const known[] = { "id", "name", "label", "status", "health", "ancestor", "network", "volume",
		"exited", "before", "since", "is-task", "publish", "expose", "isolation", NULL };
	AUTO_JSON struct json_object *filters = NULL;
	AUTOFREE char *text = engine_query(x, "filters");
	int r = docker_filters_parse(text, known, &filters, err);
	if (r == 0)
		r = check_values(filters, err);
	if (r == 0)
		r = check_others(e, filters, err);
	if (r == 0)
		*ret = TAKE_PTR(filters);
	return r;
}

int container_filters_want_all(struct json_object *filters)
{
	return filters && json_object_object_get_ex(filters, "status", NULL);
}

/* ---- matching ---- */

static int is_label_match(const struct container *c, const char *wish)
{
	AUTOFREE char *key = xstrndup(wish, strcspn(wish, "="));
	const char *value = strchr(wish, '=');
	struct json_object *label = NULL;
	if (!c->record.body.labels || !json_object_object_get_ex(c->record.body.labels, key, &label))
		return 0;
	return !value || streq(json_object_get_string(label), value + 1);
}

static int is_exited_with(const struct container *c, const char *wish)
{
	uint32_t code;
	return c->record.status == CONTAINER_EXITED && parse_u32(wish, &code) == 0 &&
	       (int64_t)code == c->record.exit_code;
}

/* Whether it was made before another one (side -1), or after it. */
static int is_beside(const struct container *c, const char *other, int side)
{
	const struct container *o = container_find(c->engine, other, NULL);
	return o && (side < 0 ? c->record.created < o->record.created : c->record.created > o->record.created);
}

static int is_match(const struct container *c, const char *filter, const char *wish)
{
	if (streq(filter, "exited"))
		return is_exited_with(c, wish);
	if (streq(filter, "before") || streq(filter, "since"))
		return is_beside(c, wish, streq(filter, "before") ? -1 : 1);
	if (streq(filter, "is-task"))
		return streq(wish, "false") || streq(wish, "0");
	if (streq(filter, "id"))
		return startswith(c->record.id, wish) != NULL;
	if (streq(filter, "label"))
		return is_label_match(c, wish);
	if (streq(filter, "health"))
		return streq(health_status(c), wish);
	if (streq(filter, "status"))
		return streq(container_state(c), wish);
	if (streq(filter, "volume"))
		return mounts_match(c, wish);
	if (streq(filter, "ancestor"))
		return streq(c->record.body.image, wish) || streq(c->record.image_id, wish);
	if (streq(filter, "network"))
		return endpoints_match(c, wish);
	return 1; /* isolation: Windows's */
}

/* Docker has the name with a slash in front, and clients write it so. */
static int passes_name(const struct container *c, struct json_object *filters)
{
	AUTOFREE char *name = xasprintf("/%s", c->record.name);
	return docker_filters_match_text(filters, "name", c->record.name) ||
	       docker_filters_match_text(filters, "name", name);
}

static int passes_ports(const struct container *c, struct json_object *filters)
{
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	AUTO_JSON struct json_object *list = container_ports_list(c);
	int pass = 0;
	if (docker_ports_from_list(list, &bound, &exposed, NULL) < 0)
		return 0;
	for (size_t i = 0; i < bound.count; i++) {
		const struct docker_port *p = &bound.items[i];
		pass |= docker_filters_match_port(filters, "publish", p->host.first, p->protocol) ||
			docker_filters_match_port(filters, "expose", p->inside, p->protocol);
	}
	for (size_t i = 0; i < exposed.count; i++)
		pass |=
		    docker_filters_match_port(filters, "expose", exposed.items[i].inside, exposed.items[i].protocol);
	return pass;
}

static int passes(const struct container *c, struct json_object *filters, const char *filter)
{
	int all = streq(filter, "label"), any = 0, failed = 0;
	AUTO_STRV struct strv values = { 0 };
	if (streq(filter, "name"))
		return passes_name(c, filters);
	docker_filters_get(filters, filter, &values);
	if (values.count && (streq(filter, "publish") || streq(filter, "expose")))
		return passes_ports(c, filters);
	for (size_t i = 0; i < values.count; i++) {
		int match = is_match(c, filter, values.items[i]);
		any |= match;
		failed |= !match;
	}
	return !values.count || (all ? !failed : any);
}

int container_passes(const struct container *c, struct json_object *filters)
{
	int pass = 1;
	if (filters) {
		json_object_object_foreach(filters, key, value) pass &= passes(c, filters, key);
	}
	return pass;
}
