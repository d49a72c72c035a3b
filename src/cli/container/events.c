/* SPDX-License-Identifier: Apache-2.0
 * `holm events`: a line for each event, at once. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/format.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "since", 0, OPTION_STRING, "TIME", "also those from this time on: 2026-11-30T08:00, or 10m" },
	{ "until", 0, OPTION_STRING, "TIME", "end at this time" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE",
	    "only those that match: type, event, container, image, label, network, volume" },
	{ "format", 0, OPTION_STRING, "text|json|TEMPLATE",
	    "how to show it; a template is Go's: '{{.Type}} {{.Action}}'", .default_text = "text",
	    .complete = "choices text json" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_events = {
	.name = "events",
	.synopsis = "",
	.summary = "show what happens to containers, images, networks and volumes, as it happens",
	.options = options,
	.run = run,
};

/* ---- a line ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = "";
	json_get_string(o, key, &text, NULL);
	return text;
}

static char *attributes_of(struct json_object *actor)
{
	AUTO_STRV struct strv pairs = { 0 };
	struct json_object *attributes = NULL;
	if (json_get_object(actor, "Attributes", &attributes, NULL) == 0) {
		json_object_object_foreach(attributes, key, value)
		    strv_addf(&pairs, "%s=%s", key, value ? json_object_get_string(value) : "");
	}
	strv_sort(&pairs);
	return strv_join(&pairs, ", ");
}

/* docker's: time type action id (name=value, ...). */
static void show_text(struct json_object *event)
{
	struct json_object *actor = NULL;
	int64_t ns = 0;
	json_get_i64(event, "timeNano", &ns, NULL);
	json_get_object(event, "Actor", &actor, NULL);
	AUTOFREE char *when = clock_format_rfc3339(ns), *attributes = actor ? attributes_of(actor) : xstrdup("");
	output_line("%s %s %s %s%s%s%s", when, text_of(event, "Type"), text_of(event, "Action"),
	    actor ? text_of(actor, "ID") : "", *attributes ? " (" : "", attributes, *attributes ? ")" : "");
}

static int show(const struct format *f, struct json_object *event)
{
	if (f->kind == FORMAT_OWN) {
		show_text(event);
		return 0;
	}
	if (f->kind == FORMAT_JSON) {
		AUTOFREE char *text = json_to_string(event, 0), *shown = printable_json(text);
		output_line("%s", shown);
		return 0;
	}
	AUTO_JSON struct json_object *rows = json_object_new_array();
	json_object_array_add(rows, json_object_get(event));
	return output_rows(f, rows);
}

static int follow(const struct format *f, struct api_stream *s, struct error **err)
{
	for (;;) {
		AUTO_JSON struct json_object *event = NULL;
		int r = http_response_line(&s->response, UINT64_MAX, &event, err);
		if (r <= 0)
			return r;
		r = show(f, event);
		if (r != 0)
			return r;
		r = output_flush();
		if (r < 0)
			return r == -EPIPE ? 0 : error_set_errno(err, r, "cannot write the output");
	}
}

static int find_target(const struct options *o, char **ret, struct error **err)
{
	AUTOFREE char *since = NULL, *until = NULL, *filters = NULL;
	int r = api_time(o, "since", &since, err);
	if (r == 0)
		r = api_time(o, "until", &until, err);
	if (r == 0)
		r = api_filters(options_list(o, "filter"), &filters, err);
	if (r == 0)
		*ret = api_target("/events", "since", since, "until", until, "filters", filters, NULL);
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTO_FORMAT struct format format = { 0 };
	AUTOFREE char *target = NULL;
	int r = format_parse(options_string(o, "format"), "text", &format, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r == 0)
		r = find_target(o, &target, &err);
	if (r < 0)
		return output_failure(r, err);
	r = api_open(&a, "GET", target, NULL, NULL, &s, &err);
	if (r >= 0)
		r = follow(&format, &s, &err);
	return r < 0 ? api_failure(&a, NULL, NULL, r, &err) : r > 0 ? API_FAILED : 0;
}
