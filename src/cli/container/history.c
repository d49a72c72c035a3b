/* SPDX-License-Identifier: Apache-2.0
 * `holm history`, in docker's columns. The library is the host's: no machine takes part. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/container/list.h"
#include "cli/image/program.h"
#include "cli/output.h"
#include "docker/units.h"

enum { FAILED = 1, STEP_WIDTH = 45 };
#define NS_PER_S 1000000000LL

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "identities only" },
	{ "human", 'H', OPTION_SWITCH, NULL, "sizes and times as people read them; =false: bytes and dates",
	    .default_text = "true" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole identities and commands" },
	{ "platform", 0, OPTION_STRING, "OS/ARCH[/VARIANT]", "for this platform", .default_text = "this machine's" },
	LIST_FORMAT_OPTION,
	{ 0 },
};

const struct command_spec command_history = {
	.name = "history",
	.synopsis = "IMAGE",
	.summary = "list the steps that made an image, in docker's columns",
	.details =
	    "The newest step comes first. Fields of a template: ID CreatedSince CreatedAt CreatedBy Size Comment. "
	    "Steps of other images have no identity here: <missing>.",
	.options = options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "image",
	.run = run,
};

static const struct list_field fields[] = { { "ID", "IMAGE" }, { "CreatedSince", "CREATED" },
	{ "CreatedBy", "CREATED BY" }, { "Size", "SIZE" }, { "Comment", "COMMENT" }, { "CreatedAt", "CREATED AT" },
	{ 0 } };
static const char *const columns[] = { "ID", "CreatedSince", "CreatedBy", "Size", "Comment", NULL };
static const char *const optional[] = { "COMMENT", "CREATED", NULL };
static const struct list steps = { fields, columns, optional, "ID" };

static void add_owned(struct json_object *row, const char *key, char *value)
{
	json_add_string(row, key, value);
	free(value);
}

/* docker shows a command in one line. */
static char *step_of(struct json_object *step, int whole)
{
	const char *by = "";
	json_get_string(step, "created_by", &by, NULL);
	char *text = whole ? xstrdup(by) : list_ellipsis(by, STEP_WIDTH);
	for (char *at = text; (at = strchr(at, '\t'));)
		*at = ' ';
	return text;
}

static struct json_object *make_row(struct json_object *step, const struct list_view *v, int human)
{
	struct json_object *row = json_object_new_object();
	const char *id = NULL, *comment = "", *created = "";
	uint64_t size = 0;
	int64_t ns = 0;
	json_get_string(step, "image", &id, NULL);
	json_get_string(step, "comment", &comment, NULL);
	json_get_string(step, "created", &created, NULL);
	json_get_u64(step, "size", &size, NULL);
	if (clock_parse_rfc3339(created, &ns) < 0)
		ns = 0;
	add_owned(row, "ID", id ? list_id(id, v->wide) : xstrdup("<missing>"));
	add_owned(row, "CreatedSince", human ? list_ago(ns / NS_PER_S) : xstrdup(created));
	json_add_string(row, "CreatedAt", created);
	add_owned(row, "CreatedBy", step_of(step, v->wide));
	add_owned(row, "Size", human ? docker_size(size) : xasprintf("%llu", (unsigned long long)size));
	json_add_string(row, "Comment", comment);
	return row;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_LIST_VIEW struct list_view view = { 0 };
	AUTO_STRV struct strv words = { 0 };
	AUTO_JSON struct json_object *answer = NULL, *rows = json_object_new_array();
	strv_split(&words, "history --format json", " ");
	if (options_given(o, "platform"))
		strv_addf(&words, "--platform=%s", options_string(o, "platform"));
	strv_add(&words, "--");
	strv_add(&words, options_words(o)->items[0]);
	int r = list_view_init(&view, &steps, o, &err);
	if (r == 0)
		r = image_program_run(&words, -1, -1, &answer, &err);
	if (r != 0)
		return r < 0 ? output_failure(r, err) : FAILED; /* holm-image has said why */
	for (size_t i = 0; json_object_is_type(answer, json_type_array) && i < json_object_array_length(answer); i++)
		json_object_array_add(rows,
		    make_row(json_object_array_get_idx(answer, i), &view, options_switch(o, "human", 1)));
	return list_show(&view, rows);
}
