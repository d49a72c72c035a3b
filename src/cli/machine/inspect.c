/* SPDX-License-Identifier: Apache-2.0
 * `holm machine inspect [NAME...]`. */
#include "base/alloc.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/describe.h"
#include "cli/output.h"

enum { ANSWER_MS = 5000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	FORMAT_OPTION_JSON,
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ 0 },
};

const struct command_spec command_inspect = {
	.name = "inspect",
	.synopsis = "[NAME...]",
	.summary = "show everything about machines, as a JSON array",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *list = json_object_new_array();
	AUTOFREE char *default_name = NULL;
	const struct strv *names = options_targets(o);
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), NULL, &format, &err);
	machine_default_get(&default_name, NULL);
	uint64_t deadline = clock_deadline(ANSWER_MS);
	for (size_t i = 0; r == 0 && i < names->count; i++) {
		AUTO_MACHINE struct machine *m = NULL;
		r = machine_load(names->items[i], &m, &err);
		if (r == 0)
			json_object_array_add(list, describe_whole(m, default_name, deadline));
	}
	return r < 0 ? output_failure(r, err) : output_rows(&format, list);
}
