/* SPDX-License-Identifier: Apache-2.0
 * `holm machine inspect [NAME]`. */
#include "base/alloc.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/describe.h"
#include "cli/output.h"

enum { ANSWER_MS = 500 };

static int run(const struct command_spec *c, struct options *o);

static const char *const formats[] = { "json", NULL };
static const struct option_spec options[] = {
	{ "format", 0, OPTION_STRING, "json", "how to show it", .default_text = "json", .choices = formats },
	{ 0 },
};

const struct command_spec command_inspect = {
	.name = "inspect",
	.synopsis = "[NAME]",
	.summary = "show everything about a machine, as JSON: an array of one",
	.options = options,
	.max_arguments = 1,
	.target = TARGET_MACHINE_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *list = json_object_new_array();
	AUTOFREE char *default_name = NULL;
	int r = machine_load(options_target(o), &m, &err);
	if (r < 0)
		return output_failure(r, err);
	machine_default_get(&default_name, NULL);
	json_object_array_add(list, describe_whole(m, default_name, clock_deadline(ANSWER_MS)));
	output_json(list);
	return 0;
}
