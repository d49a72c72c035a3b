/* SPDX-License-Identifier: Apache-2.0
 * The cache of builds for `holm builder prune`, POST /build/prune and GET /system/df: JSON on
 * stdout. */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "image/builder/prune.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"

enum { SWEEP_WAIT_MS = 10000 };

static int print(struct json_object *o, struct error **err)
{
	AUTO_JSON struct json_object *owned = o;
	AUTOFREE char *text = json_to_string(owned, 0);
	return command_print(text, err);
}

/* An array of entries of GET /system/df. */
int command_build_du(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_USAGE struct usage u = { 0 };
	struct json_object *all = json_object_new_array();
	int r = library_open(&l, err);
	if (r == 0)
		r = usage_read(l, &u, err);
	if (r == 0)
		r = usage_find_shared(l, &u, err);
	for (size_t i = 0; r == 0 && i < u.count; i++)
		json_object_array_add(all, usage_describe(&u.items[i]));
	if (r == 0)
		return print(all, err);
	json_object_put(all);
	return r;
}

static int read_prune(struct options *o, struct build_prune *ret, struct error **err)
{
	const struct {
		const char *name;
		uint64_t *to;
	} sizes[] = { { "keep-storage", &ret->keep }, { "reserved-space", &ret->keep },
		{ "max-used-space", &ret->keep_most }, { "min-free-space", &ret->min_free } };
	*ret = (struct build_prune){ .all = options_given(o, "all"), .filters = options_list(o, "filter") };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *text = options_string(o, sizes[i].name);
		if (text && parse_size(text, 1, sizes[i].to) < 0)
			return error_set(err, EINVAL, "--%s %.40s: write a size such as 10G", sizes[i].name, text);
	}
	return 0;
}

/* {"CachesDeleted":[...],"SpaceReclaimed":N} */
static struct json_object *answer_of(const struct build_pruned *gone)
{
	struct json_object *o = json_object_new_object();
	json_add_strv(o, "CachesDeleted", &gone->ids);
	json_add_u64(o, "SpaceReclaimed", gone->bytes);
	return o;
}

int command_build_prune(struct options *o, struct error **err)
{
	const char *socket = options_string(o, "engine");
	AUTO_BUILD_ENGINE struct build_engine *engine = socket ? build_engine_new(NULL, socket) : NULL;
	AUTO_BUILD_PRUNED struct build_pruned gone = { 0 };
	struct library *l = NULL;
	struct build_prune p;
	int r = read_prune(o, &p, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = build_prune(l, engine, &p, &gone, err);
	/* The layers go now, or with the next sweep if another process has the library open. */
	library_free_and_sweep(l, r == 0 && gone.ids.count ? SWEEP_WAIT_MS : 0);
	return r < 0 ? r : print(answer_of(&gone), err);
}
