/* SPDX-License-Identifier: Apache-2.0
 * `holm ps`. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/container/list.h"
#include "cli/output.h"
#include "docker/ports.h"
#include "docker/units.h"
#include "machine/machine.h"

enum { COMMAND_WIDTH = 20 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "also those that do not run" },
	{ "quiet", 'q', OPTION_FLAG, NULL, "identities only" },
	{ "latest", 'l', OPTION_FLAG, NULL, "only the container that was created last" },
	{ "last", 'n', OPTION_STRING, "N", "only the N containers that were created last" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE",
	    "only those that match: id, name, label, status, ancestor, network and others" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole identities and commands" },
	{ "size", 's', OPTION_FLAG, NULL, "show how much each has written" },
	LIST_FORMAT_OPTION,
	{ "no-boot", 0, OPTION_FLAG, NULL, "leave a stopped machine alone, and show nothing of it" },
	API_MACHINE_OPTION_LONG,
	{ 0 },
};

const struct command_spec command_container_ps = {
	.name = "ps",
	.aliases = (const char *const[]){ "ls", "list", NULL },
	.summary = "list containers",
	.details =
	    "Fields of a template: ID Names Image Command CreatedAt RunningFor Ports State Status Size Labels Label "
	    "Mounts LocalVolumes Networks. {{.Label \"a\"}} is the value of one label. In a terminal that is too "
	    "narrow some columns are left out; --no-trunc shows them all. A stopped machine is not booted "
	    "for containers that run.",
	.options = options,
	.run = run,
};

static const struct list_field fields[] = { { "ID", "CONTAINER ID" }, { "Image", "IMAGE" }, { "Command", "COMMAND" },
	{ "RunningFor", "CREATED" }, { "Status", "STATUS" }, { "Ports", "PORTS" }, { "Names", "NAMES" },
	{ "CreatedAt", "CREATED AT" }, { "State", "STATE" }, { "Size", "SIZE" }, { "Labels", "LABELS" },
	{ "Mounts", "MOUNTS" }, { "LocalVolumes", "LOCAL VOLUMES" }, { "Networks", "NETWORKS" }, { 0 } };
static const char *const plain_columns[] = { "ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", NULL };
static const char *const size_columns[] = { "ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size",
	NULL };
static const char *const optional[] = { "CREATED", "COMMAND", "CONTAINER ID", "PORTS", "IMAGE", NULL };
static const struct list plain_list = { fields, plain_columns, optional, "ID" },
			 size_list = { fields, size_columns, optional, "ID" };

/* ---- rows ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = "";
	json_get_string(o, key, &text, NULL);
	return text;
}

static void add_owned(struct json_object *row, const char *key, char *value)
{
	json_add_string(row, key, value);
	free(value);
}

/* Joins what `member` has in each item of the list; NULL: the items themselves. */
static char *join_list(struct json_object *o, const char *key, const char *member)
{
	AUTO_STRV struct strv all = { 0 };
	struct json_object *list = NULL;
	json_get_array(o, key, &list, NULL);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *text = member ? text_of(item, member) : json_object_get_string(item);
		const char *bare = text ? startswith(text, "/") : NULL;
		if (text && *text)
			strv_add(&all, !member && bare ? bare : text);
	}
	return strv_join(&all, ",");
}

static char *ports_of(struct json_object *o)
{
	AUTO_DOCKER_PORTS struct docker_ports bound = { 0 };
	AUTO_DOCKER_PORTS struct docker_ports exposed = { 0 };
	struct json_object *list = NULL;
	if (json_get_array(o, "Ports", &list, NULL) < 0 || docker_ports_from_list(list, &bound, &exposed, NULL) < 0)
		return xstrdup("");
	return docker_ports_text(&bound, &exposed);
}

static char *networks_of(struct json_object *o)
{
	AUTO_STRV struct strv names = { 0 };
	struct json_object *settings = NULL, *networks = NULL;
	json_get_object(o, "NetworkSettings", &settings, NULL);
	if (settings && json_get_object(settings, "Networks", &networks, NULL) == 0) {
		json_object_object_foreach(networks, key, value)
		{
			(void)value;
			strv_add(&names, key);
		}
	}
	strv_sort(&names);
	return strv_join(&names, ",");
}

static char *volumes_of(struct json_object *o)
{
	struct json_object *mounts = NULL;
	size_t n = 0;
	json_get_array(o, "Mounts", &mounts, NULL);
	for (size_t i = 0; mounts && i < json_object_array_length(mounts); i++)
		n += streq(text_of(json_object_array_get_idx(mounts, i), "Driver"), "local");
	return xasprintf("%zu", n);
}

static char *size_of(struct json_object *o)
{
	uint64_t written = 0, whole = 0;
	json_get_u64(o, "SizeRw", &written, NULL);
	AUTOFREE char *size = docker_size(written);
	if (json_get_u64(o, "SizeRootFs", &whole, NULL) < 0 || !whole)
		return TAKE_PTR(size);
	AUTOFREE char *all = docker_size(whole);
	return xasprintf("%s (virtual %s)", size, all);
}

static char *image_of(struct json_object *o, int wide)
{
	const char *image = text_of(o, "Image");
	if (!*image)
		return xstrdup("<no image>");
	if (wide)
		return xstrdup(image);
	return startswith(image, "sha256:") ? list_id(image, 0) : xstrndup(image, strcspn(image, "@"));
}

static struct json_object *make_row(struct json_object *o, const struct list_view *v)
{
	struct json_object *row = json_object_new_object();
	const char *command = text_of(o, "Command");
	AUTOFREE char *shown = v->wide ? xstrdup(command) : list_ellipsis(command, COMMAND_WIDTH);
	int64_t created = 0;
	json_get_i64(o, "Created", &created, NULL);
	add_owned(row, "Command", list_quote(shown));
	add_owned(row, "CreatedAt", list_time(created));
	add_owned(row, "ID", list_id(text_of(o, "Id"), v->wide));
	add_owned(row, "Image", image_of(o, v->wide));
	list_add_labels(row, o, v);
	add_owned(row, "LocalVolumes", volumes_of(o));
	add_owned(row, "Mounts", join_list(o, "Mounts", "Name"));
	add_owned(row, "Names", join_list(o, "Names", NULL));
	add_owned(row, "Networks", networks_of(o));
	add_owned(row, "Ports", ports_of(o));
	add_owned(row, "RunningFor", list_ago(created));
	add_owned(row, "Size", size_of(o));
	json_add_string(row, "State", text_of(o, "State"));
	json_add_string(row, "Status", text_of(o, "Status"));
	return row;
}

/* ---- the command ---- */

static int check_last(const struct options *o, const char **ret, struct error **err)
{
	uint64_t n;
	*ret = options_given(o, "latest") ? "1" : options_string(o, "last");
	if (*ret && streq(*ret, "-1"))
		*ret = NULL; /* docker's own default */
	return *ret && (parse_u64(*ret, &n) < 0 || n < 1) ?
		   error_set(err, EINVAL, "--last %.40s: give a number of containers", *ret) :
		   0;
}

static int find_target(const struct options *o, const struct list_view *v, char **ret, struct error **err)
{
	AUTOFREE char *filters = NULL;
	const char *limit = NULL;
	int r = api_filters(options_list(o, "filter"), &filters, err);
	if (r == 0)
		r = check_last(o, &limit, err);
	if (r < 0)
		return r;
	int with_size = options_given(o, "size") || list_wants(v, ".Size");
	*ret = api_target("/containers/json", "all", options_given(o, "all") ? "1" : NULL, "limit", limit, "size",
	    with_size ? "1" : NULL, "filters", filters, NULL);
	return 0;
}

/* Nothing runs in a stopped machine. */
static int is_known_empty(const struct api *a, const struct options *o)
{
	if (machine_is_running(a->machine) == 1)
		return 0;
	return options_given(o, "no-boot") || (!options_given(o, "all") && !options_given(o, "latest") &&
						  !options_given(o, "last") && !options_given(o, "filter"));
}

static int list(const struct api *a, const struct options *o, const struct list_view *v, const char *target)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *answer = NULL, *rows = json_object_new_array();
	int r = is_known_empty(a, o) ? 0 : api_call(a, "GET", target, NULL, &answer, &err);
	if (r < 0)
		return api_failure(a, NULL, NULL, r, &err);
	for (size_t i = 0; json_object_is_type(answer, json_type_array) && i < json_object_array_length(answer); i++)
		json_object_array_add(rows, make_row(json_object_array_get_idx(answer, i), v));
	return list_show(v, rows);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_LIST_VIEW struct list_view view = { 0 };
	AUTOFREE char *target = NULL;
	int r = list_view_init(&view, options_given(o, "size") ? &size_list : &plain_list, o, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r == 0)
		r = find_target(o, &view, &target, &err);
	return r < 0 ? output_failure(r, err) : list(&a, o, &view, target);
}
