/* SPDX-License-Identifier: Apache-2.0
 * `holm version`. */
#include <stdio.h>
#include <sys/utsname.h>

#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const char *const formats[] = { "text", "json", NULL };
static const struct option_spec options[] = {
	{ "format", 0, OPTION_STRING, "text|json", "how to show it", .default_text = "text", .choices = formats },
	{ 0 },
};

const struct command_spec command_version = {
	.name = "version",
	.summary = "show holm's version",
	.options = options,
	.run = run,
};

static int run(const struct command_spec *c, struct options *o)
{
	if (streq(options_string(o, "format"), "json")) {
		AUTO_JSON struct json_object *version = json_object_new_object();
		struct utsname host;
		uname(&host);
		json_add_string(version, "version", HOLM_VERSION);
		json_add_string(version, "arch", host.machine);
		output_json(version);
	} else {
		output_line("holm " HOLM_VERSION);
	}
	return 0;
}
