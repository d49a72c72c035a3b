/* SPDX-License-Identifier: Apache-2.0
 * `holm machine set-default NAME`. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_set_default = {
	.name = "set-default",
	.synopsis = "NAME",
	.summary = "make a machine the one that commands mean when none is named",
	.min_arguments = 1,
	.max_arguments = 1,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_target(o);
	int r = machine_default_set(name, &err);
	if (r < 0)
		return output_failure(r, err);
	output_line("%s", name);
	return 0;
}
