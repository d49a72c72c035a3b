/* SPDX-License-Identifier: Apache-2.0
 * `holm machine ssh [NAME] [CMD...]`: a session in ssh's spelling. No ssh takes part. */
#include "cli/commands.h"
#include "cli/machine/run.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_ssh = {
	.name = "ssh",
	.synopsis = "[NAME] [CMD...]",
	.summary = "run a command line, or a shell, as ssh does; no ssh takes part",
	.details = "A first word that is no machine's name begins the command, and the default machine is meant.",
	.options = ssh_options,
	.max_arguments = -1,
	.stop_at_first = 1,
	.target = TARGET_MACHINE_OR_COMMAND,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	return run_in_machine(o, RUN_SSH);
}
