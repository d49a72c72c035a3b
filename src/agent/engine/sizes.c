/* SPDX-License-Identifier: Apache-2.0
 * The room that containers and volumes take: for `docker system df`, `ps -s` and the prunes. It is
 * counted when somebody asks, by the blocks that files have. */
#include <fcntl.h>

#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

uint64_t container_size(const struct container *c)
{
	AUTOFREE char *path = path_join(c->record.id, "upper");
	AUTO_FD int upper = openat(c->engine->folders, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return upper < 0 ? 0 : volume_tree_size(upper);
}

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

static struct json_object *describe_volume(const struct engine *e, const char *name)
{
	struct json_object *o = volume_describe(e, name), *usage = json_object_new_object();
	json_add_u64(usage, "Size", volume_size(e, name));
	json_add_i64(usage, "RefCount", count_users(e, name));
	if (o)
		json_add(o, "UsageData", usage);
	else
		json_object_put(usage);
	return o;
}

/* GET /holm/df, for the keeper: {"Containers":[],"Volumes":[]} of GET /system/df. */
void engine_df(struct engine *e, struct http_exchange *x, const char *name)
{
	struct json_object *o = json_object_new_object(), *containers = json_object_new_array(),
			   *volumes = json_object_new_array();
	AUTO_STRV struct strv names = { 0 };
	for (const struct container *c = e->containers; c; c = c->next)
		json_object_array_add(containers, container_summary(c, 1));
	volumes_list(e, &names);
	for (size_t i = 0; i < names.count; i++) {
		struct json_object *volume = describe_volume(e, names.items[i]);
		if (volume)
			json_object_array_add(volumes, volume);
	}
	json_add(o, "Containers", containers);
	json_add(o, "Volumes", volumes);
	http_respond_json(x, 200, o);
}
