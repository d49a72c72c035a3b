/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container/prune.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "docker/units.h"

int prune_ask(const struct options *o, const char *question, struct error **err)
{
	char answer[16] = "";
	if (options_given(o, "force"))
		return 1;
	if (!isatty(STDIN_FILENO))
		return error_set(err, ENOTTY, "prune asks first, and standard input is no terminal; give --force");
	output_progress_clear();
	output_note("%s Go on? [y/N]", question);
	if (!fgets(answer, sizeof answer, stdin))
		return 0;
	return answer[0] == 'y' || answer[0] == 'Y';
}

/* An entry is a name, or of images {"Untagged"} or {"Deleted"}. */
static void show_entry(struct json_object *entry)
{
	const char *text = NULL;
	if (json_object_is_type(entry, json_type_string))
		output_line("%s", json_object_get_string(entry));
	else if (json_get_string(entry, "Untagged", &text, NULL) == 0)
		output_line("untagged: %s", text);
	else if (json_get_string(entry, "Deleted", &text, NULL) == 0)
		output_line("deleted: %s", text);
}

/* Whether the answer has a size. */
static int show(const struct prune *what, struct json_object *answer, uint64_t *bytes)
{
	struct json_object *names = NULL;
	uint64_t own = 0;
	json_get_array(answer, what->deleted, &names, NULL);
	int has_size = json_get_u64(answer, "SpaceReclaimed", &own, NULL) == 0;
	*bytes += own;
	size_t count = names ? json_object_array_length(names) : 0;
	if (count)
		output_line("%s", what->title);
	for (size_t i = 0; i < count; i++)
		show_entry(json_object_array_get_idx(names, i));
	if (count)
		output_line("%s", "");
	return has_size;
}

int prune_call(const struct api *a, const struct prune *what, const struct strv *given, uint64_t *bytes,
    struct error **err)
{
	AUTO_STRV struct strv texts = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	AUTOFREE char *filters = NULL;
	strv_add_all(&texts, given);
	if (what->filter)
		strv_add(&texts, what->filter);
	int r = api_filters(&texts, &filters, err);
	if (r < 0)
		return r;
	AUTOFREE char *target = api_target(what->target, "filters", filters, NULL);
	r = api_call(a, "POST", target, NULL, &answer, err);
	if (r < 0)
		return r;
	return json_object_is_type(answer, json_type_object) && show(what, answer, bytes);
}

void prune_show_total(uint64_t bytes)
{
	AUTOFREE char *size = docker_size(bytes);
	output_line("Total reclaimed space: %s", size);
}

int prune_run(const struct prune *what, const struct command_spec *c, const struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	uint64_t bytes = 0;
	int r = api_init(&a, c, o, &err);
	if (r == 0)
		r = prune_ask(o, what->question, &err);
	if (r <= 0)
		return r < 0 ? output_failure(r, err) : 0;
	a.timeout_ms = PRUNE_MS;
	r = prune_call(&a, what, options_list(o, "filter"), &bytes, &err);
	if (r < 0)
		return api_failure(&a, NULL, NULL, r, &err);
	if (r)
		prune_show_total(bytes);
	return 0;
}

/* ---- holm container prune ---- */

static int run_containers(const struct command_spec *c, struct options *o);

static const struct option_spec container_options[] = { PRUNE_OPTIONS, API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_prune = {
	.name = "prune",
	.synopsis = "",
	.summary = "remove all containers that do not run",
	.options = container_options,
	.run = run_containers,
};

const struct prune prune_of_containers = { .target = "/containers/prune",
	.deleted = "ContainersDeleted",
	.title = "Deleted Containers:",
	.question = "This removes all containers that do not run." };

static int run_containers(const struct command_spec *c, struct options *o)
{
	return prune_run(&prune_of_containers, c, o);
}
