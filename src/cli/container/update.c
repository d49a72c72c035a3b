/* SPDX-License-Identifier: Apache-2.0
 * `holm update`: the limits and the restart policy of containers. */
#include <errno.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/container/body.h"
#include "cli/container/values.h"
#include "cli/machine/autostart.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	LIMIT_OPTIONS,
	{ "restart", 0, OPTION_STRING, "no|always|unless-stopped|on-failure[:N]", "when it is started again",
	    .complete = "choices no always unless-stopped on-failure" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_update = {
	.name = "update",
	.synopsis = "CONTAINER...",
	.summary = "change the limits of containers, also while they run",
	.options = options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "container",
	.run = run,
};

static int make_body(struct options *o, struct json_object *body, struct error **err)
{
	struct json_object *policy = NULL;
	int r = body_add_limits(o, body, err);
	if (r == 0 && options_given(o, "restart"))
		r = value_restart(options_string(o, "restart"), &policy, err);
	if (policy)
		json_add(body, "RestartPolicy", policy);
	if (r == 0 && json_object_object_length(body) == 0)
		return error_set(err, EINVAL, "update: name at least one limit; see holm update --help");
	return r;
}

static int update_one(const struct api *a, const char *name, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_STRV struct strv warnings = { 0 };
	struct json_object *policy = NULL;
	const char *word = NULL;
	AUTOFREE char *path = api_path("/containers/", name, "/update");
	int r = api_call(a, "POST", path, data, &answer, &err);
	if (r < 0)
		return api_failure(a, "container", name, r, &err);
	json_get_strv(answer, "Warnings", &warnings, NULL);
	for (size_t i = 0; i < warnings.count; i++)
		output_note("%s", warnings.items[i]);
	if (json_get_object(data, "RestartPolicy", &policy, NULL) == 0 &&
	    json_get_string(policy, "Name", &word, NULL) == 0)
		autostart_note_policy(a->machine, name, word);
	output_line("%s", name);
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *body = json_object_new_object();
	int r = make_body(o, body, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	return r < 0 ? output_failure(r, err) : api_each(&a, options_words(o), update_one, body);
}
