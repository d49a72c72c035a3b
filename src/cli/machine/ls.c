/* SPDX-License-Identifier: Apache-2.0
 * `holm machine ls`. It waits for no boot. A machine whose keeper does not answer in time is shown
 * as running. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/machine/describe.h"
#include "cli/output.h"

enum { ANSWER_MS = 3000, PORTS_SHOWN = 4 };
#define OLD_NS (INT64_C(60) * 1000000000)

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	FORMAT_OPTION("table"),
	{ "quiet", 'q', OPTION_FLAG, NULL, "names only" },
	{ 0 },
};

const struct command_spec command_ls = {
	.name = "ls",
	.aliases = (const char *const[]){ "list", NULL },
	.summary = "list the machines",
	.options = options,
	.run = run,
};

static void add_text(struct output_table *t, struct json_object *row, const char *key)
{
	const char *text;
	strv_add(&t->cells, json_get_string(row, key, &text, NULL) == 0 ? text : "-");
}

/* The image as people type it: without what a short name means anyway. */
static void add_image(struct output_table *t, struct json_object *row)
{
	const char *text = "-", *rest;
	json_get_string(row, "image", &text, NULL);
	if ((rest = startswith(text, "docker.io/library/")) || (rest = startswith(text, "docker.io/")))
		text = rest;
	size_t size = strlen(text) - (endswith(text, ":latest") ? strlen(":latest") : 0);
	strv_take(&t->cells, xstrndup(text, size));
}

static void add_size(struct output_table *t, struct json_object *row, const char *key)
{
	uint64_t n;
	strv_take(&t->cells, json_get_u64(row, key, &n, NULL) == 0 ? format_size(n) : xstrdup("-"));
}

/* An old measurement of a running machine says how old it is. */
static void add_disk(struct output_table *t, struct json_object *row)
{
	uint64_t used;
	int64_t when_ns;
	const char *when = NULL;
	if (json_get_u64(row, "disk_used", &used, NULL) < 0 || json_get_string(row, "disk_measured", &when, NULL) < 0 ||
	    clock_parse_rfc3339(when, &when_ns) < 0 || clock_realtime_ns() - when_ns < OLD_NS) {
		add_size(t, row, "disk_used");
		return;
	}
	AUTOFREE char *size = format_size(used), *age = output_age(when);
	strv_take(&t->cells, xasprintf("%s, %s", size, age));
}

/* "8080->80, 3000": a number of the host once, whatever its addresses. */
static void add_ports(struct output_table *t, struct json_object *row)
{
	AUTO_STRV struct strv texts = { 0 };
	struct json_object *ports = NULL;
	json_get_array(row, "ports", &ports, NULL);
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		uint64_t host = 0, inside = 0;
		struct json_object *port = json_object_array_get_idx(ports, i);
		json_get_u64(port, "host", &host, NULL);
		json_get_u64(port, "inside", &inside, NULL);
		AUTOFREE char *text = host == inside ?
					  xasprintf("%llu", (unsigned long long)host) :
					  xasprintf("%llu->%llu", (unsigned long long)host, (unsigned long long)inside);
		if (!strv_contains(&texts, text))
			strv_take(&texts, TAKE_PTR(text));
	}
	size_t more = texts.count > PORTS_SHOWN ? texts.count - PORTS_SHOWN : 0;
	while (texts.count > PORTS_SHOWN) {
		texts.count--;
		free(TAKE_PTR(texts.items[texts.count]));
	}
	if (more)
		strv_addf(&texts, "%zu more", more);
	strv_take(&t->cells, texts.count ? strv_join(&texts, ", ") : xstrdup("-"));
}

static void add_row(struct output_table *t, struct json_object *row)
{
	uint64_t cpus;
	const char *created;
	int is_default = 0;
	add_text(t, row, "name");
	add_image(t, row);
	add_text(t, row, "state");
	add_text(t, row, "isolation");
	strv_take(&t->cells,
	    json_get_u64(row, "cpus", &cpus, NULL) == 0 ? xasprintf("%llu", (unsigned long long)cpus) : xstrdup("-"));
	add_size(t, row, "memory");
	add_disk(t, row);
	strv_take(&t->cells, json_get_string(row, "created", &created, NULL) == 0 ? output_age(created) : xstrdup("-"));
	add_ports(t, row);
	json_get_bool(row, "default", &is_default, NULL);
	strv_add(&t->cells, is_default ? "*" : "");
}

static void print_table(struct json_object *rows)
{
	static const char *const headers[] = { "NAME", "IMAGE", "STATE", "ISOLATION", "CPUS", "MEMORY", "DISK",
		"CREATED", "PORTS", "DEFAULT", NULL };
	/* STATE, and the star of the default, stay. */
	static const char *const optional[] = { "CREATED", "ISOLATION", "MEMORY", "CPUS", "DISK", "IMAGE", "PORTS",
		NULL };
	AUTO_TABLE struct output_table t = { .headers = headers, .optional = optional };
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		add_row(&t, json_object_array_get_idx(rows, i));
	output_table_print(&t);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv names = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	AUTOFREE char *default_name = NULL;
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), "table", &format, &err);
	if (r == 0)
		r = machine_list(&names, &err);
	if (r < 0)
		return output_failure(r, err);
	if (options_given(o, "quiet")) {
		for (size_t i = 0; i < names.count; i++)
			output_line("%s", names.items[i]);
		return 0;
	}
	machine_default_get(&default_name, NULL);
	uint64_t deadline = clock_deadline(ANSWER_MS);
	for (size_t i = 0; i < names.count; i++)
		json_object_array_add(rows, describe_short(names.items[i], default_name, deadline));
	if (format.kind != FORMAT_OWN)
		return output_rows(&format, rows);
	print_table(rows);
	return 0;
}
