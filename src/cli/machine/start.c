/* SPDX-License-Identifier: Apache-2.0
 * `holm machine start [NAME...]`. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/engine.h"
#include "cli/machine/power.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "wait", 0, OPTION_FLAG, NULL, "wait until its init says that booting is done",
	    .default_text = "until commands can run" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ "autostart", 0, OPTION_FLAG, NULL, "every machine with autostart=on, as at a login" },
	{ 0 },
};

const struct command_spec command_start = {
	.name = "start",
	.synopsis = "[NAME...]",
	.summary = "boot machines",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

int power_start(const char *name, enum client_level level)
{
	AUTO_ERROR struct error *err = NULL;
	int started, r = client_start(name, level, 0, &started, &err);
	if (r < 0)
		return client_start_failure(r, err);
	if (!started)
		output_note("machine \"%s\" is running already", name);
	output_line("%s", name);
	fflush(stdout);
	engine_note_ready(name);
	return 0;
}

int power_start_all(const struct strv *names, enum client_level level)
{
	int status = 0;
	for (size_t i = 0; i < names->count; i++) {
		int one = power_start(names->items[i], level);
		if (one > EXIT_NOT_FOUND)
			return one; /* a signal */
		status = one ? one : status;
	}
	return status;
}

static int run(const struct command_spec *c, struct options *o)
{
	return power_start_all(options_targets(o), options_given(o, "wait") ? CLIENT_INIT : CLIENT_SESSION);
}
