/* SPDX-License-Identifier: Apache-2.0
 * `holm version`. */
#include <stdio.h>
#include <sys/utsname.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "docker/route.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = { FORMAT_OPTION_SHORT('f', "text|json|TEMPLATE", "text json", "text"),
	{ 0 } };

const struct command_spec command_version = {
	.name = "version",
	.summary = "show holm's version",
	.options = options,
	.run = run,
};

/* Docker's half, for who asks docker: {{.Server.Version}}. */
static struct json_object *docker_part(const char *architecture)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Version", DOCKER_SERVER_VERSION);
	json_add_string(o, "ApiVersion", DOCKER_API_VERSION);
	json_add_string(o, "MinAPIVersion", DOCKER_API_MINIMUM);
	json_add_string(o, "Os", "linux");
	json_add_string(o, "Arch", architecture);
	return o;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FORMAT struct format format = { 0 };
	AUTO_JSON struct json_object *version = json_object_new_object(), *rows = json_object_new_array();
	struct utsname host;
	int r = format_parse(options_string(o, "format"), "text", &format, &err);
	if (r < 0)
		return output_failure(r, err);
	uname(&host);
	json_add_string(version, "version", HOLM_VERSION);
	json_add_string(version, "arch", host.machine);
	json_add(version, "Client", docker_part(host.machine));
	json_add(version, "Server", docker_part(host.machine));
	json_object_array_add(rows, json_object_get(version));
	if (format.kind == FORMAT_TEMPLATE)
		return output_rows(&format, rows);
	if (format.kind == FORMAT_JSON)
		output_json(version);
	else
		output_line("holm " HOLM_VERSION);
	return 0;
}
