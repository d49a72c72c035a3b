/* SPDX-License-Identifier: Apache-2.0
 * The cache of builds: POST /build/prune, and its cache mounts in GET /system/df. Records and
 * layers are the library's, so holm-image removes them, and asks this docker.sock for the
 * volumes. */
#include <errno.h>

#include "base/alloc.h"
#include "docker/filters.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { WORDS_MAX = 64 };

struct json_object *docker_cache_mount(struct json_object *volume)
{
	struct json_object *labels = NULL, *usage = NULL, *status = NULL;
	const char *id = NULL, *name = "", *created = "", *used = NULL;
	int64_t size = 0, users = 0;
	if (!json_object_is_type(volume, json_type_object) || json_get_object(volume, "Labels", &labels, NULL) < 0 ||
	    json_get_string(labels, "org.holm.build.cache", &id, NULL) < 0)
		return NULL;
	json_get_string(volume, "Name", &name, NULL);
	json_get_string(volume, "CreatedAt", &created, NULL);
	if (json_get_object(volume, "Status", &status, NULL) == 0)
		json_get_string(status, "LastUsedAt", &used, NULL);
	if (json_get_object(volume, "UsageData", &usage, NULL) == 0) {
		json_get_i64(usage, "Size", &size, NULL);
		json_get_i64(usage, "RefCount", &users, NULL);
	}
	struct json_object *o = json_object_new_object();
	AUTOFREE char *text = xasprintf("cache mount \"%s\"", id);
	json_add_string(o, "ID", name);
	json_add(o, "Parents", NULL);
	json_add_string(o, "Type", "exec.cachemount");
	json_add_string(o, "Description", text);
	json_add_bool(o, "InUse", users > 0);
	json_add_bool(o, "Shared", 0);
	json_add_i64(o, "Size", size);
	json_add_string(o, "CreatedAt", created);
	json_add_string(o, "LastUsedAt", used ? used : created);
	json_add_i64(o, "UsageCount", 0);
	return o;
}

/* ---- prune ---- */

static void on_pruned(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	struct json_object *o = NULL;
	AUTOFREE char *why = docker_last_line(errors);
	int r = status == 0 ? json_parse(output, strlen(output), "the answer of holm-image", &o, &err) :
			      error_set(&err, EINVAL, "%s", why);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	uint64_t reclaimed = 0;
	json_get_u64(o, "SpaceReclaimed", &reclaimed, NULL);
	docker_tell_prune(q->keeper, "builder", reclaimed);
	docker_respond_json(q, 200, o);
}

static int add_filters(const char *target, struct strv *words, struct error **err)
{
	static const char *const known[] = { "id", "inuse", "private", "shared", "type", "until", "unused-for", NULL };
	AUTOFREE char *text = docker_query(target, "filters");
	AUTO_JSON struct json_object *filters = NULL;
	int r = docker_filters_parse(text, known, &filters, err);
	for (size_t i = 0; r == 0 && known[i]; i++) {
		AUTO_STRV struct strv values = { 0 };
		docker_filters_get(filters, known[i], &values);
		for (size_t k = 0; k < values.count; k++)
			strv_addf(words, "--filter=%s=%s", known[i], values.items[k]);
	}
	return r;
}

/* keep-storage is what older clients call reserved-space. */
static int add_parameters(const char *target, struct strv *words, struct error **err)
{
	static const char *const sizes[] = { "keep-storage", "reserved-space", "max-used-space", "min-free-space" };
	AUTOFREE char *all = docker_query(target, "all");
	if (streq(all, "1") || streq(all, "true"))
		strv_add(words, "--all");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTOFREE char *size = docker_query(target, sizes[i]);
		if (!size || streq(size, "") || streq(size, "0"))
			continue;
		strv_addf(words, "--%s=%s", sizes[i], size);
	}
	int r = add_filters(target, words, err);
	return r == 0 && words->count > WORDS_MAX ? error_set(err, E2BIG, "too many filters") : r;
}

void docker_prune_builds(struct docker_request *q)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, "build-prune");
	strv_addf(&words, "--engine=%s", q->socket);
	int r = add_parameters(http_exchange_head(q->exchange)->target, &words, &err);
	if (r == 0)
		r = docker_program(keeper_loop(q->keeper), (const char *const *)strv_argv(&words), on_pruned, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}
