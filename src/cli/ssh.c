/* SPDX-License-Identifier: Apache-2.0
 * `holm machine ssh [NAME] [CMD...]`: a session in ssh's spelling. No ssh takes part. */
#include <errno.h>

#include "base/alloc.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/run.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_ssh = {
	.name = "ssh",
	.synopsis = "[NAME] [CMD...]",
	.summary = "the same as run, in ssh's spelling: the first word names the machine",
	.details = "A first word that is no machine's name begins the command, and the default machine is meant.",
	.options = ssh_options,
	.max_arguments = -1,
	.stop_at_first = 1,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL, *unknown = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *name = NULL;
	const struct strv *words = options_words(o);
	size_t first = 0;
	if (words->count && machine_name_check(words->items[0], NULL) == 0 && machine_load(words->items[0], &m, &unknown) != -ENOENT)
		first = 1;
	int r = client_pick(first ? words->items[0] : NULL, &name, &err);
	/* Without a default machine, a single word was most likely meant as a name. */
	if (r == -ENOENT && words->count == 1 && unknown)
		return output_failure(-ENOENT, unknown);
	if (r < 0)
		return output_failure(r, err);
	return run_in_machine(o, name, words->items + first, words->count - first);
}
