/* SPDX-License-Identifier: Apache-2.0
 * `holm machine stop [NAME]`. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

enum { DEFAULT_SECONDS = 30, SECONDS_MAX = 3600 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "how long it may take before it is killed", .default_text = "30" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ 0 },
};

const struct command_spec command_stop = {
	.name = "stop",
	.synopsis = "[NAME]",
	.summary = "stop a machine as its init understands; a stopped one is fine",
	.options = options,
	.max_arguments = 1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

static int stop_one(const char *name, uint64_t seconds)
{
	AUTO_ERROR struct error *err = NULL;
	output_progress("%s: stopping ...", name);
	int r = client_stop(name, seconds * 1000, &err);
	output_progress_clear();
	if (r < 0)
		return output_failure(r, err);
	output_line("%s", name);
	fflush(stdout);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	const struct strv *names = options_targets(o);
	int status = 0, all = options_given(o, "all");
	uint64_t seconds = DEFAULT_SECONDS;
	const char *time = options_string(o, "time");
	if (time && (parse_u64(time, &seconds) < 0 || seconds > SECONDS_MAX)) {
		output_error("--time %.40s: give seconds, at most %d", time, SECONDS_MAX);
		return EXIT_HOLM;
	}
	for (size_t i = 0; all && i < names->count; i++)
		machine_stops_add(names->items[i], NULL); /* for starts whose keeper does not run yet */
	for (size_t i = 0; i < names->count; i++)
		if ((!all || machine_is_running(names->items[i]) == 1) && stop_one(names->items[i], seconds) != 0)
			status = EXIT_HOLM;
	return status;
}
