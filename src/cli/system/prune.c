/* SPDX-License-Identifier: Apache-2.0
 * `holm system prune`: all prunes of a machine's engine, one after the other. */
#include "cli/container/prune.h"

#include <errno.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "all images that no machine and no container uses" },
	{ "volumes", 0, OPTION_FLAG, NULL, "also volumes without a name that no container has" },
	PRUNE_OPTIONS,
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_system_prune = {
	.name = "prune",
	.synopsis = "",
	.summary = "remove what is not used: containers, networks, images",
	.details = "Images are the host's, which all machines share: those that another machine uses stay.",
	.options = options,
	.run = run,
};

static const struct prune networks = { .target = "/networks/prune",
	.deleted = "NetworksDeleted",
	.title = "Deleted Networks:" },
			  volumes = { .target = "/volumes/prune",
				  .deleted = "VolumesDeleted",
				  .title = "Deleted Volumes:" },
			  dangling = { .target = "/images/prune",
				  .deleted = "ImagesDeleted",
				  .title = "Deleted Images:",
				  .filter = "dangling=true" },
			  images = { .target = "/images/prune",
				  .deleted = "ImagesDeleted",
				  .title = "Deleted Images:",
				  .filter = "dangling=false" };

static int prune_all(const struct api *a, const struct options *o, struct error **err)
{
	const struct strv *filters = options_list(o, "filter");
	const struct prune *const steps[] = { &prune_of_containers, &networks,
		options_given(o, "all") ? &images : &dangling, options_given(o, "volumes") ? &volumes : NULL };
	uint64_t bytes = 0;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && steps[i]; i++) {
		int r = prune_call(a, steps[i], filters, &bytes, err);
		if (r == -ENOENT && steps[i] == &networks) /* an engine without networks of its own */
			error_clear(err);
		else if (r < 0)
			return r;
	}
	prune_show_total(bytes);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = api_init(&a, c, o, &err);
	if (r == 0)
		r = prune_ask(o,
		    "This removes containers that do not run, networks without containers, and unused images.", &err);
	if (r <= 0)
		return r < 0 ? output_failure(r, err) : 0;
	a.timeout_ms = PRUNE_MS;
	r = prune_all(&a, o, &err);
	return r < 0 ? api_failure(&a, NULL, NULL, r, &err) : 0;
}
