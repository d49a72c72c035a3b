/* SPDX-License-Identifier: Apache-2.0
 * GET /system/df: the engine counts containers and volumes, the keeper adds the host's images
 * and the cache of builds. */
#include <errno.h>

#include "base/alloc.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

static int64_t count_users(struct json_object *containers, const char *id)
{
	int64_t count = 0;
	for (size_t i = 0; containers && i < json_object_array_length(containers); i++) {
		struct json_object *o = json_object_array_get_idx(containers, i);
		const char *image = NULL;
		count += json_object_is_type(o, json_type_object) && json_get_string(o, "ImageID", &image, NULL) == 0 &&
			 streq(image, id);
	}
	return count;
}

/* The size of all images, each layer once. */
static uint64_t size_of_all(struct json_object *entries)
{
	uint64_t total = 0;
	for (size_t i = 0; i < json_object_array_length(entries); i++) {
		uint64_t added = 0;
		json_get_u64(json_object_array_get_idx(entries, i), "added_size", &added, NULL);
		total += added;
	}
	return total;
}

/* Cache mounts of builds are volumes, and count as the cache of builds, too. */
static void add_mounts(struct json_object *answer, struct json_object *cache)
{
	struct json_object *volumes = NULL;
	json_get_array(answer, "Volumes", &volumes, NULL);
	for (size_t i = 0; volumes && i < json_object_array_length(volumes); i++) {
		struct json_object *entry = docker_cache_mount(json_object_array_get_idx(volumes, i));
		if (entry)
			json_object_array_add(cache, entry);
	}
}

/* ---- which ---- */

static const struct part {
	const char *type, *member;
} parts[] = { { "image", "Images" }, { "container", "Containers" }, { "volume", "Volumes" },
	{ "build-cache", "BuildCache" } };

static int is_wanted(const struct strv *types, const char *type)
{
	return !types->count || strv_contains(types, type);
}

/* Without the parameter `type` all are wanted. */
static int read_types(const struct docker_request *q, struct strv *types, struct error **err)
{
	docker_query_all(http_exchange_head(q->exchange)->target, "type", types);
	for (size_t i = 0; i < types->count; i++) {
		size_t k = 0;
		while (k < ARRAY_SIZE(parts) && !streq(parts[k].type, types->items[i]))
			k++;
		if (k == ARRAY_SIZE(parts))
			return error_set(err, EINVAL, "unknown object type: %.64s", types->items[i]);
	}
	return 0;
}

/* Members that are not wanted are null, as with Docker. */
static void keep_wanted(struct docker_request *q, struct json_object *o)
{
	AUTO_STRV struct strv types = { 0 };
	if (!q->exchange || read_types(q, &types, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!is_wanted(&types, parts[i].type))
			json_object_object_add(o, parts[i].member, NULL);
	if (!is_wanted(&types, "image"))
		json_object_object_add(o, "LayersSize", json_object_new_int64(0));
}

/* ---- the answer ---- */

/* Takes the entries of the cache. */
static void answer(struct docker_request *q, struct json_object *cache)
{
	struct json_object *o = json_object_get(q->body);
	add_mounts(o, cache);
	json_add(o, "BuildCache", cache);
	keep_wanted(q, o);
	docker_respond_json(q, 200, o);
}

static void on_cache(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *cache = NULL;
	int r = docker_images_parse(status, output, errors, &cache, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	answer(q, TAKE_PTR(cache));
}

/* Requests from inside see the images of the host, and not what its builds have kept. */
static void add_build_cache(struct docker_request *q)
{
	static const char *const words[] = { "build-du", NULL };
	AUTO_ERROR struct error *err = NULL;
	if (q->inside) {
		answer(q, json_object_new_array());
		return;
	}
	int r = docker_program(keeper_loop(q->keeper), words, on_cache, q, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
}

static void on_listed(int status, const char *output, const char *errors, void *data)
{
	struct docker_request *q = data;
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *entries = NULL;
	struct json_object *containers = NULL;
	int r = docker_images_parse(status, output, errors, &entries, &err);
	if (r < 0) {
		docker_respond_error(q, r, err);
		return;
	}
	struct json_object *images = docker_images_describe(entries), *o = json_object_get(q->body);
	json_get_array(o, "Containers", &containers, NULL);
	for (size_t i = 0; i < json_object_array_length(images); i++) {
		struct json_object *one = json_object_array_get_idx(images, i);
		const char *id = "";
		json_get_string(one, "Id", &id, NULL);
		json_object_object_add(one, "Containers", json_object_new_int64(count_users(containers, id)));
	}
	json_add_u64(o, "LayersSize", size_of_all(entries));
	json_add(o, "Images", images);
	add_build_cache(q);
}

void docker_df(struct docker_request *q)
{
	static const char *const words[] = { "ls", "--shared", "--format", "json", NULL };
	AUTO_STRV struct strv types = { 0 };
	AUTO_ERROR struct error *err = NULL;
	int r = read_types(q, &types, &err);
	if (r < 0)
		docker_respond_error(q, r, err);
	else
		docker_ask_and_list(q, "/holm/df", words, on_listed);
}
