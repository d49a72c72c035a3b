/* SPDX-License-Identifier: Apache-2.0
 * `holm machine start [NAME]`. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "wait", 0, OPTION_FLAG, NULL, "wait until its init says that booting is done",
	    .default_text = "until commands can run" },
	{ 0 },
};

const struct command_spec command_start = {
	.name = "start",
	.synopsis = "[NAME]",
	.summary = "boot a machine",
	.options = options,
	.max_arguments = 1,
	.target = TARGET_MACHINE_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_target(o);
	uint64_t begin = clock_now_ms();
	int started, r = client_start(name, options_given(o, "wait") ? CLIENT_INIT : CLIENT_SESSION, 0, &started, &err);
	if (r < 0)
		return client_start_failure(r, err);
	if (started)
		output_line("Machine \"%s\" is ready after %.1f s.", name, (double)(clock_now_ms() - begin) / 1000);
	else
		output_line("Machine \"%s\" is running already.", name);
	return 0;
}
