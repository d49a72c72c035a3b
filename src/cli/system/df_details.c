/* SPDX-License-Identifier: Apache-2.0
 * The details of `holm system df --verbose`, as docker shows them. They are of one machine: the one
 * that --machine names, else the default one if it runs. */
#include "cli/system/df.h"

#include <stdio.h>

#include "base/alloc.h"
#include "cli/container/api.h"
#include "cli/container/list.h"
#include "cli/output.h"
#include "docker/units.h"
#include "machine/machine.h"

enum { COMMAND_WIDTH = 20 };

static void add_owned(struct json_object *row, const char *key, char *value)
{
	json_add_string(row, key, value);
	free(value);
}

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = "";
	json_get_string(o, key, &text, NULL);
	return text;
}

static int64_t number_of(struct json_object *o, const char *key)
{
	int64_t number = 0;
	json_get_i64(o, key, &number, NULL);
	return MAX(number, 0);
}

static void add_size(struct json_object *row, const char *key, int64_t bytes)
{
	add_owned(row, key, docker_size((uint64_t)MAX(bytes, 0)));
}

static void add_count(struct json_object *row, const char *key, int64_t count)
{
	add_owned(row, key, xasprintf("%lld", (long long)count));
}

/* ---- images ---- */

static const struct list_field image_fields[] = { { "Repository", "REPOSITORY" }, { "Tag", "TAG" },
	{ "ID", "IMAGE ID" }, { "Created", "CREATED" }, { "Size", "SIZE" }, { "Shared", "SHARED SIZE" },
	{ "Unique", "UNIQUE SIZE" }, { "Containers", "CONTAINERS" }, { 0 } };
static const char *const image_columns[] = { "Repository", "Tag", "ID", "Created", "Size", "Shared", "Unique",
	"Containers", NULL };

static void add_image_row(struct json_object *rows, struct json_object *o, const char *name)
{
	struct json_object *row = json_object_new_object();
	const char *colon = strrchr(name, ':');
	add_owned(row, "Repository", xstrndup(name, colon ? (size_t)(colon - name) : strlen(name)));
	json_add_string(row, "Tag", colon ? colon + 1 : "<none>");
	add_owned(row, "ID", list_id(text_of(o, "Id"), 0));
	add_owned(row, "Created", list_ago(number_of(o, "Created")));
	add_size(row, "Size", number_of(o, "Size"));
	add_size(row, "Shared", number_of(o, "SharedSize"));
	add_size(row, "Unique", number_of(o, "Size") - number_of(o, "SharedSize"));
	add_count(row, "Containers", number_of(o, "Containers"));
	json_object_array_add(rows, row);
}

static void add_image(struct json_object *rows, struct json_object *o)
{
	AUTO_STRV struct strv names = { 0 };
	json_get_strv(o, "RepoTags", &names, NULL);
	if (!names.count)
		strv_add(&names, "<none>");
	for (size_t i = 0; i < names.count; i++)
		add_image_row(rows, o, names.items[i]);
}

/* ---- containers ---- */

static const struct list_field container_fields[] = { { "ID", "CONTAINER ID" }, { "Image", "IMAGE" },
	{ "Command", "COMMAND" }, { "Volumes", "LOCAL VOLUMES" }, { "Size", "SIZE" }, { "Created", "CREATED" },
	{ "Status", "STATUS" }, { "Names", "NAMES" }, { 0 } };
static const char *const container_columns[] = { "ID", "Image", "Command", "Volumes", "Size", "Created", "Status",
	"Names", NULL };

static int64_t count_volumes(struct json_object *o)
{
	struct json_object *mounts = NULL;
	int64_t count = 0;
	json_get_array(o, "Mounts", &mounts, NULL);
	for (size_t i = 0; mounts && i < json_object_array_length(mounts); i++)
		count += streq(text_of(json_object_array_get_idx(mounts, i), "Type"), "volume");
	return count;
}

static void add_container(struct json_object *rows, struct json_object *o)
{
	struct json_object *row = json_object_new_object();
	AUTO_STRV struct strv names = { 0 };
	AUTOFREE char *command = list_ellipsis(text_of(o, "Command"), COMMAND_WIDTH);
	json_get_strv(o, "Names", &names, NULL);
	add_owned(row, "ID", list_id(text_of(o, "Id"), 0));
	json_add_string(row, "Image", text_of(o, "Image"));
	add_owned(row, "Command", list_quote(command));
	add_count(row, "Volumes", count_volumes(o));
	add_size(row, "Size", number_of(o, "SizeRw"));
	add_owned(row, "Created", list_ago(number_of(o, "Created")));
	json_add_string(row, "Status", text_of(o, "Status"));
	json_add_string(row, "Names", names.count ? names.items[0] + (names.items[0][0] == '/') : "");
	json_object_array_add(rows, row);
}

/* ---- volumes ---- */

static const struct list_field volume_fields[] = { { "Name", "VOLUME NAME" }, { "Links", "LINKS" }, { "Size", "SIZE" },
	{ 0 } };
static const char *const volume_columns[] = { "Name", "Links", "Size", NULL };

static void add_volume(struct json_object *rows, struct json_object *o)
{
	struct json_object *row = json_object_new_object(), *usage = NULL;
	json_get_object(o, "UsageData", &usage, NULL);
	json_add_string(row, "Name", text_of(o, "Name"));
	add_count(row, "Links", usage ? number_of(usage, "RefCount") : 0);
	add_size(row, "Size", usage ? number_of(usage, "Size") : 0);
	json_object_array_add(rows, row);
}

/* ---- all ---- */

static const struct part {
	const char *member, *title;
	struct list list;
	void (*add)(struct json_object *rows, struct json_object *o);
} parts[] = {
	{ "Images", "Images space usage:", { image_fields, image_columns, NULL, "ID" }, add_image },
	{ "Containers", "Containers space usage:", { container_fields, container_columns, NULL, "ID" }, add_container },
	{ "Volumes", "Local Volumes space usage:", { volume_fields, volume_columns, NULL, "Name" }, add_volume },
};

static int show_part(const struct part *p, struct json_object *answer, struct options *o, struct error **err)
{
	AUTO_LIST_VIEW struct list_view view = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	struct json_object *list = NULL;
	int r = list_view_init(&view, &p->list, o, err);
	if (r < 0)
		return r;
	json_get_array(answer, p->member, &list, NULL);
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		p->add(rows, json_object_array_get_idx(list, i));
	output_line("%s", "");
	output_line("%s", p->title);
	output_line("%s", "");
	return list_show(&view, rows);
}

int df_details_print(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	int asked = options_given(o, "machine"), r = api_init(&a, c, o, &err);
	if (!asked && (r < 0 || machine_is_running(a.machine) != 1))
		return 0;
	if (r == 0)
		r = api_call(&a, "GET", "/system/df?type=image&type=container&type=volume", NULL, &answer, &err);
	if (r < 0)
		return api_failure(&a, NULL, NULL, r, &err);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if ((r = show_part(&parts[i], answer, o, &err)) != 0)
			return r < 0 ? output_failure(r, err) : r;
	return 0;
}
