/* SPDX-License-Identifier: Apache-2.0
 * The settings that the machine runs with: those that it was started with, and what has changed
 * since. `inspect` compares them with machine.json. */
#include "base/alloc.h"
#include "keeper/keeper_private.h"

/* The mounts that the machine has now; the home and the like are no mounts of the settings. */
static struct json_object *mounts(const struct keeper *k)
{
	struct json_object *list = json_object_new_array();
	for (const struct keeper_share *s = k->shares; s; s = s->next) {
		struct json_object *o;
		if (!startswith(s->tag, "share"))
			continue;
		o = json_object_new_object();
		json_add_string(o, "host", s->host);
		json_add_string(o, "inside", s->inside);
		json_add_bool(o, "read_only", s->read_only);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *keeper_settings(struct keeper *k)
{
	static const char *const left_out[] = { "image_config", "image_trees" };
	struct json_object *o = machine_to_json(k->machine);
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		json_object_object_del(o, left_out[i]);
	if (k->live_cpus)
		json_add_u64(o, "cpus", k->live_cpus);
	if (k->live_memory)
		json_add_u64(o, "memory", k->live_memory);
	if (k->install_settled)
		json_add_string(o, "init", machine_init_words[MACHINE_INIT_AUTO]);
	json_add(o, "mounts", mounts(k));
	return o;
}
