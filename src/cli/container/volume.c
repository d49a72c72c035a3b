/* SPDX-License-Identifier: Apache-2.0
 * `holm volume`: the volumes of a machine's containers. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/change.h"
#include "cli/container/list.h"
#include "cli/container/prune.h"
#include "cli/container/values.h"
#include "cli/output.h"
#include "machine/machine.h"

static int run_create(const struct command_spec *c, struct options *o);
static int run_ls(const struct command_spec *c, struct options *o);
static int run_rm(const struct command_spec *c, struct options *o);
static int run_prune(const struct command_spec *c, struct options *o);

static const struct option_spec create_options[] = {
	{ "driver", 'd', OPTION_STRING, "NAME", "the driver", .default_text = "local" },
	{ "label", 0, OPTION_LIST, "KEY[=VALUE]", "a label; may be repeated" },
	{ "opt", 'o', OPTION_LIST, "KEY=VALUE", "an option of the driver; may be repeated" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_volume_create = {
	.name = "create",
	.synopsis = "[NAME]",
	.summary = "make a volume, and print its name; one of that name is fine",
	.options = create_options,
	.max_arguments = 1,
	.run = run_create,
};

static const struct option_spec ls_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "names only" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE", "only those that match: name, label, driver, dangling" },
	{ "no-boot", 0, OPTION_FLAG, NULL, "leave a stopped machine alone, and show nothing of it" },
	LIST_FORMAT_OPTION,
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_volume_ls = {
	.name = "ls",
	.aliases = (const char *const[]){ "list", NULL },
	.synopsis = "",
	.summary = "list the volumes",
	.details = "Fields of a template: Name Driver Scope Mountpoint Labels Label.",
	.options = ls_options,
	.run = run_ls,
};

static const struct option_spec rm_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "a volume that is not there is fine" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_volume_rm = {
	.name = "rm",
	.aliases = (const char *const[]){ "remove", NULL },
	.synopsis = "VOLUME...",
	.summary = "remove volumes that no container has, with what is in them",
	.options = rm_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "volume",
	.run = run_rm,
};

static const struct option_spec prune_options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "also those with a name" },
	PRUNE_OPTIONS,
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_volume_prune = {
	.name = "prune",
	.synopsis = "",
	.summary = "remove the volumes without a name that no container has",
	.options = prune_options,
	.run = run_prune,
};

/* ---- create ---- */

static int run_create(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *body = json_object_new_object(), *answer = NULL;
	const char *wish = options_words(o)->count ? options_words(o)->items[0] : NULL, *name = "";
	json_add_string(body, "Name", wish);
	json_add_string(body, "Driver", options_string(o, "driver"));
	int r = value_pairs("label", options_list(o, "label"), body, "Labels", &err);
	if (r == 0)
		r = value_pairs("opt", options_list(o, "opt"), body, "DriverOpts", &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	r = api_call(&a, "POST", "/volumes/create", body, &answer, &err);
	if (r >= 0)
		r = answer ? json_get_string(answer, "Name", &name, &err) : -EPROTO;
	if (r < 0)
		return api_failure(&a, "volume", wish, r, &err);
	output_line("%s", name);
	return 0;
}

/* ---- ls ---- */

static const struct list_field fields[] = { { "Driver", "DRIVER" }, { "Name", "VOLUME NAME" }, { "Scope", "SCOPE" },
	{ "Mountpoint", "MOUNTPOINT" }, { "Labels", "LABELS" }, { 0 } };
static const char *const columns[] = { "Driver", "Name", NULL };
static const struct list list = { .fields = fields, .table = columns, .quiet = "Name" };

static struct json_object *make_row(struct json_object *from, const struct list_view *v)
{
	static const char *const texts[] = { "Driver", "Name", "Scope", "Mountpoint", NULL };
	struct json_object *row = json_object_new_object();
	list_add_texts(row, from, texts);
	list_add_labels(row, from, v);
	return row;
}

static int run_ls(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_LIST_VIEW struct list_view view = { 0 };
	AUTO_JSON struct json_object *answer = NULL, *rows = json_object_new_array();
	AUTOFREE char *filters = NULL;
	struct json_object *volumes = NULL;
	int r = list_view_init(&view, &list, o, &err);
	if (r == 0)
		r = api_filters(options_list(o, "filter"), &filters, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	if (options_given(o, "no-boot") && machine_is_running(a.machine) != 1)
		return list_show(&view, rows);
	AUTOFREE char *target = api_target("/volumes", "filters", filters, NULL);
	r = api_call(&a, "GET", target, NULL, &answer, &err);
	if (r < 0)
		return api_failure(&a, NULL, NULL, r, &err);
	if (answer)
		json_get_array(answer, "Volumes", &volumes, NULL);
	for (size_t i = 0; volumes && i < json_object_array_length(volumes); i++)
		json_object_array_add(rows, make_row(json_object_array_get_idx(volumes, i), &view));
	return list_show(&view, rows);
}

/* ---- rm, prune ---- */

static int run_rm(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int force = options_given(o, "force"), r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	struct change what = { .kind = "volume",
		.before = "/volumes/",
		.after = "",
		.method = "DELETE",
		.query = force ? "?force=1" : "",
		.missing_is_fine = force };
	return change_each(&a, options_words(o), &what);
}

static int run_prune(const struct command_spec *c, struct options *o)
{
	const int all = options_given(o, "all");
	const struct prune what = { .target = "/volumes/prune",
		.deleted = "VolumesDeleted",
		.title = "Deleted Volumes:",
		.question = all ? "This removes all volumes that no container has." :
				  "This removes all volumes without a name that no container has.",
		.filter = all ? "all=true" : NULL };
	return prune_run(&what, c, o);
}
