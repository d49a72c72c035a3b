/* SPDX-License-Identifier: Apache-2.0
 * `holm builder prune`: the cache of builds. It is the library's, so holm-image prunes it; the
 * cache mounts are in a machine, and count if that runs. */
#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/container/prune.h"
#include "cli/image/program.h"
#include "cli/output.h"
#include "machine/machine.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "also what images share, so that they are built from the beginning" },
	{ "keep-storage", 0, OPTION_STRING, "SIZE", "the same as --reserved-space" },
	{ "reserved-space", 0, OPTION_STRING, "SIZE", "keep so much of what was used last", .default_text = "nothing" },
	{ "max-used-space", 0, OPTION_STRING, "SIZE", "remove only what is more than this" },
	{ "min-free-space", 0, OPTION_STRING, "SIZE", "remove only until so much of the file system is free" },
	{ "force", 'f', OPTION_FLAG, NULL, "do not ask first" },
	{ "filter", 0, OPTION_LIST, "KEY=VALUE",
	    "only those that match: until=TIME or unused-for=TIME (not used since), type, id, shared, private, inuse" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_builder_prune = {
	.name = "prune",
	.synopsis = "",
	.summary = "delete what earlier builds have kept, and say what that frees",
	.options = options,
	.details =
	    "What was not used for the longest time goes first. Layers of images stay unless --all is given. The "
	    "cache mounts of the machine go, too, if it runs.",
	.run = run,
};

/* The machine's docker.sock; NULL: it does not run, or there is none. Owned. */
static char *find_socket(const struct command_spec *c, const struct options *o)
{
	AUTO_API struct api a = { 0 };
	if (api_init(&a, c, o, NULL) < 0 || machine_is_running(a.machine) != 1)
		return NULL;
	AUTOFREE char *socket = machine_socket_path(a.machine, NULL), *folder = socket ? path_parent(socket) : NULL;
	return folder ? path_join(folder, "docker.sock") : NULL;
}

static void add_words(const struct command_spec *c, const struct options *o, struct strv *to)
{
	static const char *const sizes[] = { "keep-storage", "reserved-space", "max-used-space", "min-free-space" };
	const struct strv *filters = options_list(o, "filter");
	AUTOFREE char *socket = find_socket(c, o);
	strv_add(to, "build-prune");
	if (socket)
		strv_addf(to, "--engine=%s", socket);
	if (options_given(o, "all"))
		strv_add(to, "--all");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (options_given(o, sizes[i]))
			strv_addf(to, "--%s=%s", sizes[i], options_string(o, sizes[i]));
	for (size_t i = 0; i < filters->count; i++)
		strv_addf(to, "--filter=%s", filters->items[i]);
}

static void show(struct json_object *answer)
{
	AUTO_STRV struct strv ids = { 0 };
	uint64_t bytes = 0;
	json_get_strv(answer, "CachesDeleted", &ids, NULL);
	json_get_u64(answer, "SpaceReclaimed", &bytes, NULL);
	if (ids.count)
		output_line("%s", "Deleted build cache objects:");
	for (size_t i = 0; i < ids.count; i++)
		output_line("%s", ids.items[i]);
	if (ids.count)
		output_line("%s", "");
	prune_show_total(bytes);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	int r = prune_ask(o,
	    options_given(o, "all") ? "This removes the whole cache of builds." :
				      "This removes the cache of builds, except what images share.",
	    &err);
	if (r <= 0)
		return r < 0 ? output_failure(r, err) : 0;
	add_words(c, o, &words);
	r = image_program_run(&words, -1, -1, &answer, &err);
	if (r < 0)
		return output_failure(r, err);
	if (r == 0)
		show(answer);
	return r ? API_FAILED : 0; /* holm-image has said why */
}
