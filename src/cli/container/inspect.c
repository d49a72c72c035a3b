/* SPDX-License-Identifier: Apache-2.0
 * `holm inspect` and what shows parts of the same: `holm port`, `holm top`. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "machine/machine.h"

static int run_inspect(const struct command_spec *c, struct options *o);
static int run_port(const struct command_spec *c, struct options *o);
static int run_top(const struct command_spec *c, struct options *o);

static const char *const types[] = { "container", "image", "network", "volume", NULL };

/* clang-format off */
#define SIZE_OPTION { "size", 's', OPTION_FLAG, NULL, "also how much a container has written" }
#define INSPECT_FORMAT_OPTION \
	{ "format", 'f', OPTION_STRING, "json|TEMPLATE", "how to show it; a template is Go's: '{{.State.Status}}'", \
	  .default_text = "json", .complete = "choices json" }
/* clang-format on */

static const struct option_spec volume_options[] = { INSPECT_FORMAT_OPTION, API_MACHINE_OPTION, { 0 } };
static const struct option_spec inspect_options[] = { INSPECT_FORMAT_OPTION, SIZE_OPTION, API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_inspect = {
	.name = "inspect",
	.synopsis = "CONTAINER...",
	.summary = "show everything about containers, as a JSON array",
	.options = inspect_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "container",
	.run = run_inspect,
};

const struct command_spec command_volume_inspect = {
	.name = "inspect",
	.synopsis = "VOLUME...",
	.summary = "show everything about volumes, as a JSON array",
	.options = volume_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "volume",
	.run = run_inspect,
};

static const struct option_spec network_options[] = {
	INSPECT_FORMAT_OPTION,
	{ "verbose", 'v', OPTION_FLAG, NULL, "taken for docker's sake" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_inspect = {
	.name = "inspect",
	.synopsis = "NETWORK...",
	.summary = "show everything about networks, as a JSON array",
	.options = network_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.run = run_inspect,
};

static const struct option_spec any_options[] = {
	INSPECT_FORMAT_OPTION,
	SIZE_OPTION,
	{ "type", 0, OPTION_STRING, "TYPE", "only things of this kind", .choices = types },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_inspect_any = {
	.name = "inspect",
	.synopsis = "NAME...",
	.summary = "show everything about containers, images, networks or volumes, as a JSON array",
	.options = any_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "container",
	.run = run_inspect,
};

static const struct option_spec machine_options[] = { API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_port = {
	.name = "port",
	.synopsis = "CONTAINER [PORT[/udp]]",
	.summary = "list the published ports of a container, or where one of them is on the host",
	.options = machine_options,
	.min_arguments = 1,
	.max_arguments = 2,
	.complete = "container",
	.run = run_port,
};

const struct command_spec command_container_top = {
	.name = "top",
	.synopsis = "CONTAINER [OPTIONS OF PS]",
	.summary = "list the processes of a container",
	.options = machine_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.stop_at_first = 1,
	.complete = "container",
	.run = run_top,
};

/* ---- inspect ---- */

static char *target_of(const char *type, const char *name, int with_size)
{
	AUTOFREE char *before = xasprintf("/%ss/", type);
	int has_json = streq(type, "container") || streq(type, "image");
	AUTOFREE char *path = api_path(before, name, has_json ? "/json" : "");
	return api_target(path, "size", with_size && streq(type, "container") ? "1" : NULL, NULL);
}

/* Looks for the name among the things of each kind, or of one. 0 or -errno. */
static int find_thing(const struct api *a, const char *name, const char *only, int with_size, struct json_object **ret,
    struct error **err)
{
	int r = -ENOENT;
	for (size_t i = 0; types[i] && r == -ENOENT; i++) {
		if (only && !streq(only, types[i]))
			continue;
		AUTOFREE char *target = target_of(types[i], name, with_size);
		error_clear(err);
		r = api_call(a, "GET", target, NULL, ret, err);
	}
	if (r == -ENOENT && !only) {
		AUTO_MACHINE struct machine *m = NULL;
		int is_machine = machine_load(name, &m, NULL) == 0;
		error_clear(err);
		return error_set(err, ENOENT, "no container, image, network or volume \"%s\"; %s%s", name,
		    is_machine ? "the machine of this name: holm machine inspect " : "see holm ps -a",
		    is_machine ? name : "");
	}
	return r < 0 ? r : *ret ? 0 : error_set(err, EPROTO, "the engine's answer is no JSON");
}

/* The kind that the command is about, or NULL for all. */
static const char *kind_of(const struct command_spec *c, const struct options *o)
{
	if (c == &command_volume_inspect)
		return "volume";
	if (c == &command_network_inspect)
		return "network";
	return c == &command_inspect_any ? options_string(o, "type") : "container";
}

static int run_inspect(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_FORMAT struct format format = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	const struct strv *names = options_words(o);
	const char *only = kind_of(c, o);
	int with_size = options_has(o, "size") && options_given(o, "size");
	int status = 0, r = format_parse(options_string(o, "format"), NULL, &format, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	for (size_t i = 0; i < names->count; i++) {
		AUTO_ERROR struct error *why = NULL;
		struct json_object *thing = NULL;
		r = find_thing(&a, names->items[i], only, with_size, &thing, &why);
		if (r == 0)
			json_object_array_add(rows, thing);
		else
			status = api_failure(&a, only, only ? names->items[i] : NULL, r, &why);
	}
	int failed = output_rows(&format, rows) ? API_FAILED : 0;
	return failed ? failed : status;
}

/* ---- port ---- */

/* "127.0.0.1:8080", "[::1]:8080" */
static char *address_of(struct json_object *binding)
{
	const char *ip = "", *port = "";
	json_get_string(binding, "HostIp", &ip, NULL);
	json_get_string(binding, "HostPort", &port, NULL);
	return strchr(ip, ':') ? xasprintf("[%s]:%s", ip, port) : xasprintf("%s:%s", ip, port);
}

/* Prints each place of one port; how many. */
static size_t print_port(const char *port, struct json_object *bindings, int alone)
{
	size_t count = json_object_is_type(bindings, json_type_array) ? json_object_array_length(bindings) : 0;
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *address = address_of(json_object_array_get_idx(bindings, i));
		output_line("%s%s%s", alone ? "" : port, alone ? "" : " -> ", address);
	}
	return count;
}

static int by_number(const void *a, const void *b)
{
	unsigned long left = strtoul(*(char *const *)a, NULL, 10), right = strtoul(*(char *const *)b, NULL, 10);
	return left != right ? (left > right) - (left < right) : strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_ports(struct json_object *ports)
{
	AUTO_STRV struct strv names = { 0 };
	json_object_object_foreach(ports, key, value)
	{
		(void)value;
		strv_add(&names, key);
	}
	if (names.count)
		qsort(names.items, names.count, sizeof *names.items, by_number);
	for (size_t i = 0; i < names.count; i++)
		print_port(names.items[i], json_object_object_get(ports, names.items[i]), 0);
}

static int run_port(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *thing = NULL;
	struct json_object *settings = NULL, *ports = NULL;
	const struct strv *words = options_words(o);
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	r = find_thing(&a, words->items[0], "container", 0, &thing, &err);
	if (r < 0)
		return api_failure(&a, "container", words->items[0], r, &err);
	if (json_get_object(thing, "NetworkSettings", &settings, NULL) == 0)
		json_get_object(settings, "Ports", &ports, NULL);
	if (words->count == 1) {
		if (ports)
			print_ports(ports);
		return 0;
	}
	const char *wish = words->items[1];
	AUTOFREE char *port = xasprintf("%s%s", wish, strchr(wish, '/') ? "" : "/tcp");
	if (ports && print_port(port, json_object_object_get(ports, port), 1))
		return 0;
	output_error("container \"%s\": port %s is not published; see holm port %s", words->items[0], port,
	    words->items[0]);
	return API_FAILED;
}

/* ---- top ---- */

static int print_processes(struct json_object *answer, struct error **err)
{
	AUTO_STRV struct strv titles = { 0 };
	AUTO_TABLE struct output_table t = { 0 };
	struct json_object *rows = NULL;
	int r = json_get_strv(answer, "Titles", &titles, err);
	if (r == 0)
		r = json_get_array(answer, "Processes", &rows, err);
	if (r < 0)
		return error_set(err, EPROTO, "the engine's answer is no list of processes");
	t.headers = (const char *const *)strv_argv(&titles);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		for (size_t n = 0; n < titles.count; n++) {
			struct json_object *cell =
			    json_object_is_type(row, json_type_array) ? json_object_array_get_idx(row, n) : NULL;
			strv_add(&t.cells, cell ? json_object_get_string(cell) : "");
		}
	}
	output_table_print(&t);
	return 0;
}

static int run_top(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_STRV struct strv arguments = { 0 };
	const struct strv *words = options_words(o);
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	for (size_t i = 1; i < words->count; i++)
		strv_add(&arguments, words->items[i]);
	AUTOFREE char *ps = strv_join(&arguments, " "), *path = api_path("/containers/", words->items[0], "/top");
	AUTOFREE char *target = api_target(path, "ps_args", *ps ? ps : NULL, NULL);
	r = api_call(&a, "GET", target, NULL, &answer, &err);
	if (r >= 0)
		r = print_processes(answer, &err);
	return r < 0 ? api_failure(&a, "container", words->items[0], r, &err) : 0;
}
