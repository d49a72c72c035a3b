/* SPDX-License-Identifier: Apache-2.0
 * `holm machine stop [NAME...]`. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/power.h"
#include "cli/output.h"

enum { DEFAULT_SECONDS = 30, SECONDS_MAX = 3600 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "how long it may take before it is killed; 0 kills at once",
	    .default_text = "30" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ "autostart", 0, OPTION_FLAG, NULL, "every machine with autostart=on" },
	{ 0 },
};

const struct command_spec command_stop = {
	.name = "stop",
	.synopsis = "[NAME...]",
	.summary = "stop machines as their inits understand; a stopped one is fine",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

int power_time(struct options *o, uint64_t *ret_ms, struct error **err)
{
	uint64_t seconds = DEFAULT_SECONDS;
	const char *time = options_string(o, "time");
	if (time && (parse_u64(time, &seconds) < 0 || seconds > SECONDS_MAX))
		return error_set(err, EINVAL, "--time %.40s: give seconds, at most %d", time, SECONDS_MAX);
	*ret_ms = seconds * 1000;
	return 0;
}

int power_stop(const char *name, uint64_t timeout_ms)
{
	AUTO_ERROR struct error *err = NULL;
	output_progress("%s: stopping ...", name);
	int r = client_stop(name, timeout_ms, &err);
	output_progress_clear();
	return r < 0 ? output_failure(r, err) : 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const struct strv *names = options_targets(o);
	uint64_t timeout_ms;
	int status = 0, all = options_given(o, "all") || options_given(o, "autostart"),
	    r = power_time(o, &timeout_ms, &err);
	if (r < 0)
		return output_failure(r, err);
	for (size_t i = 0; all && i < names->count; i++)
		machine_stops_add(names->items[i], NULL); /* for starts whose keeper does not run yet */
	for (size_t i = 0; i < names->count; i++) {
		if (all && machine_is_running(names->items[i]) != 1)
			continue;
		if (power_stop(names->items[i], timeout_ms) != 0) {
			status = EXIT_HOLM;
			continue;
		}
		output_line("%s", names->items[i]);
		fflush(stdout);
	}
	return status;
}
