/* SPDX-License-Identifier: Apache-2.0
 * `holm machine restart [NAME...]`: stop, then start. A stopped machine is started. */
#include "cli/commands.h"
#include "cli/machine/power.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "how long the stop may take before it is killed; 0 kills at once",
	    .default_text = "30" },
	{ "wait", 0, OPTION_FLAG, NULL, "wait until its init says that booting is done",
	    .default_text = "until commands can run" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine that runs" },
	{ 0 },
};

const struct command_spec command_restart = {
	.name = "restart",
	.synopsis = "[NAME...]",
	.summary = "stop machines and boot them again; a stopped one is booted",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv stopped = { 0 };
	const struct strv *names = options_targets(o);
	uint64_t timeout_ms;
	int status = 0, all = options_given(o, "all"), r = power_time(o, &timeout_ms, &err);
	if (r < 0)
		return output_failure(r, err);
	for (size_t i = 0; i < names->count; i++) {
		if (all && machine_is_running(names->items[i]) != 1)
			continue;
		if (power_stop(names->items[i], timeout_ms) == 0)
			strv_add(&stopped, names->items[i]);
		else
			status = EXIT_HOLM;
	}
	int started = power_start_all(&stopped, options_given(o, "wait") ? CLIENT_INIT : CLIENT_SESSION);
	return started ? started : status;
}
