/* SPDX-License-Identifier: Apache-2.0
 * `holm machine rename OLD NEW`. */
#include <errno.h>
#include <stdio.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_rename = {
	.name = "rename",
	.synopsis = "OLD NEW",
	.summary = "give a stopped machine another name; inside, its host name follows",
	.min_arguments = 2,
	.max_arguments = 2,
	.target = TARGET_MACHINE,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_LOCKS struct client_locks locks = CLIENT_LOCKS_NONE;
	const char *name = options_target(o), *new_name = options_words(o)->items[0];
	int r = machine_name_check(new_name, &err);
	if (r == 0 && streq(name, new_name))
		r = error_set(&err, EINVAL, "machine \"%s\" has this name already; choose another one", name);
	if (r == 0)
		r = client_lock_stopped(name, &locks, &err);
	if (r == 0)
		r = machine_rename(name, new_name, &err);
	if (r < 0)
		return output_failure(r, err);
	output_line("%s", new_name);
	return 0;
}
