/* SPDX-License-Identifier: Apache-2.0
 * The Docker API's requests about volumes. */
#include <errno.h>
#include <stdio.h>

#include "agent/engine/events.h"
#include "agent/engine/sizes.h"
#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/name.h"

enum { LABELS_MAX = 64 * 1024 };

/* ---- filters ---- */

static int read_filters(struct http_exchange *x, const char *const *known, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv dangling = { 0 };
	AUTOFREE char *text = engine_query(x, "filters");
	int on, r = docker_filters_parse(text, known, ret, err);
	docker_filters_get(*ret, "dangling", &dangling);
	for (size_t i = 0; r == 0 && i < dangling.count; i++)
		if (parse_bool(dangling.items[i], &on) < 0)
			r = error_set(err, EINVAL, "invalid filter 'dangling=%.64s'", dangling.items[i]);
	return r;
}

static int is_dangling_as(const struct engine *e, const char *name, struct json_object *filters)
{
	AUTO_STRV struct strv wishes = { 0 };
	int wanted, any = 0;
	docker_filters_get(filters, "dangling", &wishes);
	for (size_t i = 0; i < wishes.count; i++)
		any |= parse_bool(wishes.items[i], &wanted) == 0 && wanted == !volume_user(e, name, NULL);
	return any || !wishes.count;
}

static int passes(const struct engine *e, struct json_object *volume, struct json_object *filters)
{
	struct json_object *labels = NULL;
	const char *name = "";
	json_get_string(volume, "Name", &name, NULL);
	json_get_object(volume, "Labels", &labels, NULL);
	return docker_filters_match_text(filters, "name", name) &&
	       docker_filters_match_word(filters, "driver", "local") && is_dangling_as(e, name, filters) &&
	       docker_filters_match_labels(filters, labels);
}

void engine_volumes(struct engine *e, struct http_exchange *x, const char *name)
{
	static const char *const known[] = { "name", "driver", "dangling", "label", NULL };
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *filters = NULL;
	AUTO_STRV struct strv names = { 0 };
	int r = read_filters(x, known, &filters, &err);
	if (r < 0) {
		engine_error(x, -EINVAL, err);
		return;
	}
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	volumes_list(e, &names);
	for (size_t i = 0; i < names.count; i++) {
		AUTO_JSON struct json_object *volume = volume_describe(e, names.items[i]);
		if (volume && passes(e, volume, filters))
			json_object_array_add(list, json_object_get(volume));
	}
	json_add(o, "Volumes", list);
	json_add(o, "Warnings", json_object_new_array());
	http_respond_json(x, 200, o);
}

/* ---- one volume ---- */

/* Labels are texts, and not too many. */
static int check_labels(struct json_object *labels, struct error **err)
{
	size_t total = 0;
	json_object_object_foreach(labels, key, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, EINVAL, "the label \"%.64s\" is no text", key);
		total += strlen(key) + (size_t)json_object_get_string_len(value);
	}
	return total <= LABELS_MAX ? 0 : error_set(err, EINVAL, "the labels of a volume are too long");
}

static int check_driver(struct json_object *body, struct error **err)
{
	struct json_object *options = NULL;
	const char *driver = "local";
	int r = json_get_string(body, "Driver", &driver, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_object(body, "DriverOpts", &options, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (*driver && !streq(driver, "local"))
		return error_set(err, ENOENT, "plugin \"%.64s\" not found; choose the driver local", driver);
	return options && json_object_object_length(options) ?
		   error_set(err, EOPNOTSUPP,
		       "DriverOpts (--opt) is not supported by holm's engine; leave it out, or bind a host path") :
		   0;
}

static int read_wish(struct json_object *body, char **ret_name, struct json_object **ret_labels, struct error **err)
{
	AUTO_JSON struct json_object *labels = json_object_new_object();
	struct json_object *given = NULL;
	const char *name = "";
	int r = json_get_string(body, "Name", &name, err);
	if ((r < 0 && r != -ENOENT) || (r = check_driver(body, err)) < 0)
		return r;
	r = json_get_object(body, "Labels", &given, err);
	if ((r < 0 && r != -ENOENT) || (given && (r = check_labels(given, err)) < 0))
		return r;
	if (*name && !docker_is_name(name))
		return error_set(err, EINVAL,
		    "create %.64s: \"%.64s\" includes invalid characters for a local volume name, only "
		    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute "
		    "path",
		    name, name);
	*ret_name = *name ? xstrdup(name) : docker_new_id();
	if (!*name)
		json_add_string(labels, VOLUME_ANONYMOUS, "");
	if (given) {
		json_object_object_foreach(given, key, value)
		    json_object_object_add(labels, key, json_object_get(value));
	}
	*ret_labels = TAKE_PTR(labels);
	return 0;
}

void engine_volume_create(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *labels = NULL;
	AUTOFREE char *chosen = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? read_wish(body, &chosen, &labels, &err) : -EINVAL;
	if (r == 0)
		r = volume_make(e, chosen, labels, &err);
	if (r < 0)
		engine_error(x, r, err);
	else
		http_respond_json(x, 201, volume_describe(e, chosen));
}

void engine_volume_inspect(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *o = volume_describe(e, name);
	if (o) {
		http_respond_json(x, 200, o);
		return;
	}
	error_set(&err, ENOENT, "get %.64s: no such volume", name);
	engine_error(x, -ENOENT, err);
}

void engine_volume_remove(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	const struct container *user = volume_user(e, name, NULL);
	int r = user ? error_set(&err, EBUSY, "remove %s: volume is in use - [%s]", name, user->record.id) :
		       volume_remove(e, name);
	if (r == -ENOENT && engine_flag(x, "force", 0))
		r = 0;
	if (r < 0 && !err)
		r = r == -ENOENT ? error_set(&err, ENOENT, "get %.64s: no such volume", name) :
				   error_set_errno(&err, r, "remove %s", name);
	if (r < 0)
		engine_error(x, r, err);
	else
		http_respond(x, 204, NULL, NULL, 0);
}

/* ---- prune ---- */

/* Those without a name of their own; all=true: every one. */
static int may_prune(const struct engine *e, struct json_object *volume, struct json_object *filters)
{
	AUTO_STRV struct strv wishes = { 0 };
	struct json_object *labels = NULL;
	const char *name = "";
	int all = 0;
	docker_filters_get(filters, "all", &wishes);
	for (size_t i = 0; i < wishes.count; i++)
		parse_bool(wishes.items[i], &all);
	json_get_string(volume, "Name", &name, NULL);
	json_get_object(volume, "Labels", &labels, NULL);
	return (all || json_object_object_get_ex(labels, VOLUME_ANONYMOUS, NULL)) && !volume_user(e, name, NULL) &&
	       passes(e, volume, filters);
}

/* Adds the volumes that a prune is to remove. 0 or -EINVAL. */
static int find_pruned(const struct engine *e, struct http_exchange *x, struct strv *to, struct error **err)
{
	static const char *const known[] = { "all", "label", "label!", NULL };
	AUTO_JSON struct json_object *filters = NULL;
	AUTO_STRV struct strv names = { 0 };
	int r = read_filters(x, known, &filters, err);
	if (r < 0)
		return r;
	volumes_list(e, &names);
	for (size_t i = 0; i < names.count; i++) {
		AUTO_JSON struct json_object *volume = volume_describe(e, names.items[i]);
		if (volume && may_prune(e, volume, filters))
			strv_add(to, names.items[i]);
	}
	return 0;
}

static void prune(struct engine *e, struct http_exchange *x, const char *name, const struct sizes *sizes)
{
	AUTO_STRV struct strv names = { 0 }, deleted = { 0 };
	uint64_t size = 0;
	(void)find_pruned(e, x, &names, NULL); /* engine_volumes_prune() has looked */
	for (size_t i = 0; i < names.count; i++) {
		if (volume_remove(e, names.items[i]) < 0)
			continue;
		size += sizes_of_volume(sizes, names.items[i]);
		strv_add(&deleted, names.items[i]);
	}
	struct json_object *o = json_object_new_object();
	json_add_strv(o, "VolumesDeleted", &deleted);
	json_add_u64(o, "SpaceReclaimed", size);
	event_prune(e, "volume", size);
	http_respond_json(x, 200, o);
}

void engine_volumes_prune(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_SIZES_WISH struct sizes_wish wish = { 0 };
	AUTO_ERROR struct error *err = NULL;
	int r = find_pruned(e, x, &wish.volumes, &err);
	if (r < 0)
		engine_error(x, -EINVAL, err);
	else
		sizes_count(e, x, name, &wish, prune);
}
