/* SPDX-License-Identifier: Apache-2.0
 * GET /holm/df, for the keeper: {"Containers":[],"Volumes":[]} of GET /system/df. */
#include "agent/engine/sizes.h"
#include "agent/engine/volumes.h"

static int64_t count_users(const struct engine *e, const char *name)
{
	int64_t count = 0;
	for (const struct container *c = e->containers; c; c = c->next) {
		int uses = 0;
		for (size_t i = 0; i < c->record.mounts.count; i++) {
			const struct docker_mount *m = &c->record.mounts.items[i];
			uses |= m->type == DOCKER_MOUNT_VOLUME && streq(m->source, name);
		}
		count += uses;
	}
	return count;
}

static struct json_object *describe_volume(const struct engine *e, const char *name, const struct sizes *sizes)
{
	struct json_object *o = volume_describe(e, name), *usage = json_object_new_object();
	json_add_u64(usage, "Size", sizes_of_volume(sizes, name));
	json_add_i64(usage, "RefCount", count_users(e, name));
	if (o)
		json_add(o, "UsageData", usage);
	else
		json_object_put(usage);
	return o;
}

static void answer(struct engine *e, struct http_exchange *x, const char *name, const struct sizes *sizes)
{
	struct json_object *o = json_object_new_object(), *containers = json_object_new_array(),
			   *volumes = json_object_new_array();
	AUTO_STRV struct strv names = { 0 };
	for (const struct container *c = e->containers; c; c = c->next)
		json_object_array_add(containers, container_summary(c, sizes));
	volumes_list(e, &names);
	for (size_t i = 0; i < names.count; i++) {
		struct json_object *volume = describe_volume(e, names.items[i], sizes);
		if (volume)
			json_object_array_add(volumes, volume);
	}
	json_add(o, "Containers", containers);
	json_add(o, "Volumes", volumes);
	http_respond_json(x, 200, o);
}

void engine_df(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_SIZES_WISH struct sizes_wish all = { 0 };
	for (const struct container *c = e->containers; c; c = c->next)
		strv_add(&all.containers, c->record.id);
	volumes_list(e, &all.volumes);
	sizes_count(e, x, NULL, &all, answer);
}
