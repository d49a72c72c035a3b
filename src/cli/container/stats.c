/* SPDX-License-Identifier: Apache-2.0
 * `holm stats`: what containers use. A share of the processors is the difference of two samples of
 * this program's own, a second apart. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/container/list.h"
#include "cli/output.h"
#include "docker/units.h"
#include "machine/machine.h"

enum { INTERVAL_MS = 1000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "also those that do not run" },
	{ "no-stream", 0, OPTION_FLAG, NULL, "show it once, instead of each second" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole identities" },
	LIST_FORMAT_OPTION,
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_stats = {
	.name = "stats",
	.synopsis = "[CONTAINER...]",
	.summary = "show what containers use: processors, memory, network, disk",
	.details =
	    "Without a name all that run. Fields of a template: Container ID Name CPUPerc MemUsage MemPerc NetIO "
	    "BlockIO PIDs.",
	.options = options,
	.max_arguments = -1,
	.complete = "container",
	.run = run,
};

static const struct list_field fields[] = { { "ID", "CONTAINER ID" }, { "Name", "NAME" }, { "CPUPerc", "CPU %" },
	{ "MemUsage", "MEM USAGE / LIMIT" }, { "MemPerc", "MEM %" }, { "NetIO", "NET I/O" }, { "BlockIO", "BLOCK I/O" },
	{ "PIDs", "PIDS" }, { "Container", "CONTAINER" }, { 0 } };
static const char *const columns[] = { "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
	NULL };
static const char *const optional[] = { "BLOCK I/O", "MEM %", "NET I/O", "CONTAINER ID", NULL };
static const struct list stats_list = { fields, columns, optional, "ID" };

/* ---- samples ---- */

/* The number at the end of a path of members; 0 where one is missing. */
static uint64_t number_at(struct json_object *o, const char *first, const char *second, const char *third)
{
	struct json_object *one = NULL, *two = NULL;
	uint64_t n = 0;
	if (!o || json_get_object(o, first, &one, NULL) < 0)
		return 0;
	if (third && json_get_object(one, second, &two, NULL) == 0)
		json_get_u64(two, third, &n, NULL);
	else if (!third)
		json_get_u64(one, second, &n, NULL);
	return n;
}

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = "";
	json_get_string(o, key, &text, NULL);
	return text;
}

static int find_names(const struct api *a, const struct options *o, struct strv *ret, struct error **err)
{
	AUTO_JSON struct json_object *list = NULL;
	const struct strv *words = options_words(o);
	strv_add_all(ret, words);
	/* A stopped machine is not booted for containers that run. */
	if (words->count || (!options_given(o, "all") && machine_is_running(a->machine) != 1))
		return 0;
	int r = api_call(a, "GET", options_given(o, "all") ? "/containers/json?all=1" : "/containers/json", NULL, &list,
	    err);
	for (size_t i = 0; r >= 0 && json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
	     i++)
		strv_add(ret, text_of(json_object_array_get_idx(list, i), "Id"));
	return MIN(r, 0);
}

/* An array of answers, each with the name by which it was asked for in "Container". Names from a
 * list may be gone in the meantime. */
static int take_sample(const struct api *a, const struct options *o, struct json_object **ret, int *ret_status)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv names = { 0 };
	int r = find_names(a, o, &names, &err), named = options_words(o)->count > 0;
	*ret_status = r < 0 ? api_failure(a, NULL, NULL, r, &err) : 0;
	*ret = json_object_new_array();
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		struct json_object *one = NULL;
		AUTOFREE char *path = api_path("/containers/", names.items[i], "/stats?stream=0&one-shot=1");
		int result = api_call(a, "GET", path, NULL, &one, &err);
		if (result < 0 && named)
			*ret_status = api_failure(a, "container", names.items[i], result, &err);
		error_clear(&err);
		if (result < 0 || !one)
			continue;
		json_add_string(one, "Container", names.items[i]);
		json_object_array_add(*ret, one);
	}
	return r;
}

/* ---- rows ---- */

static struct json_object *find(struct json_object *sample, const char *id)
{
	for (size_t i = 0; sample && i < json_object_array_length(sample); i++) {
		struct json_object *one = json_object_array_get_idx(sample, i);
		if (streq(text_of(one, "id"), id))
			return one;
	}
	return NULL;
}

static void add_percent(struct json_object *row, const char *key, double part, double whole)
{
	AUTOFREE char *text = xasprintf("%.2f%%", whole > 0 ? part / whole * 100 : 0.0);
	json_add_string(row, key, text);
}

static void add_cpu(struct json_object *row, struct json_object *before, struct json_object *now)
{
	double used = (double)number_at(now, "cpu_stats", "cpu_usage", "total_usage") -
		      (double)number_at(before, "cpu_stats", "cpu_usage", "total_usage");
	double all = (double)number_at(now, "cpu_stats", "system_cpu_usage", NULL) -
		     (double)number_at(before, "cpu_stats", "system_cpu_usage", NULL);
	int known = before && used > 0;
	add_percent(row, "CPUPerc", known ? used * (double)number_at(now, "cpu_stats", "online_cpus", NULL) : 0, all);
}

static void add_pair(struct json_object *row, const char *key, char *first, char *second)
{
	AUTOFREE char *a = first, *b = second, *text = xasprintf("%s / %s", a, b);
	json_add_string(row, key, text);
}

/* Page cache that the kernel can drop at once is no used memory, as docker counts. */
static void add_memory(struct json_object *row, struct json_object *now)
{
	uint64_t used = number_at(now, "memory_stats", "usage", NULL),
		 limit = number_at(now, "memory_stats", "limit", NULL),
		 cache = number_at(now, "memory_stats", "stats", "inactive_file");
	used -= cache < used ? cache : 0;
	add_pair(row, "MemUsage", docker_binary_size(used), docker_binary_size(limit));
	add_percent(row, "MemPerc", (double)used, (double)limit);
}

static void add_network(struct json_object *row, struct json_object *now)
{
	struct json_object *networks = NULL;
	uint64_t received = 0, sent = 0;
	if (json_get_object(now, "networks", &networks, NULL) == 0) {
		json_object_object_foreach(networks, key, value)
		{
			(void)value;
			received += number_at(networks, key, "rx_bytes", NULL);
			sent += number_at(networks, key, "tx_bytes", NULL);
		}
	}
	add_pair(row, "NetIO", docker_size(received), docker_size(sent));
}

static void add_disks(struct json_object *row, struct json_object *now)
{
	struct json_object *disks = NULL, *list = NULL;
	uint64_t sums[2] = { 0, 0 };
	if (json_get_object(now, "blkio_stats", &disks, NULL) == 0)
		json_get_array(disks, "io_service_bytes_recursive", &list, NULL);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		uint64_t n = 0;
		json_get_u64(one, "value", &n, NULL);
		sums[streq(text_of(one, "op"), "write")] += n;
	}
	add_pair(row, "BlockIO", docker_size(sums[0]), docker_size(sums[1]));
}

static struct json_object *make_row(struct json_object *before, struct json_object *now, int wide)
{
	struct json_object *row = json_object_new_object();
	const char *name = text_of(now, "name");
	AUTOFREE char *id = list_id(text_of(now, "id"), wide);
	AUTOFREE char *pids = xasprintf("%llu", (unsigned long long)number_at(now, "pids_stats", "current", NULL));
	json_add_string(row, "Container", text_of(now, "Container"));
	json_add_string(row, "ID", id);
	json_add_string(row, "Name", name[0] == '/' ? name + 1 : name);
	add_cpu(row, before, now);
	add_memory(row, now);
	add_network(row, now);
	add_disks(row, now);
	json_add_string(row, "PIDs", pids);
	return row;
}

/* ---- the command ---- */

static int show(const struct list_view *v, struct json_object *before, struct json_object *now)
{
	AUTO_JSON struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(now); i++) {
		struct json_object *one = json_object_array_get_idx(now, i);
		json_object_array_add(rows, make_row(find(before, text_of(one, "id")), one, v->wide));
	}
	return list_show(v, rows);
}

/* Shows samples until nobody reads them, the named containers are gone, or the machine stops. */
static int stream(const struct api *a, const struct options *o, const struct list_view *v)
{
	AUTO_JSON struct json_object *before = NULL;
	int status = 0, once = options_given(o, "no-stream"), r = take_sample(a, o, &before, &status);
	while (r == 0 && status == 0) {
		AUTO_JSON struct json_object *now = NULL;
		if (json_object_array_length(before) || !once)
			fd_wait(-1, 0, clock_deadline(INTERVAL_MS));
		r = take_sample(a, o, &now, &status);
		if (r < 0 || status != 0)
			break;
		if (!once)
			output_redraw();
		status = show(v, before, now);
		if (once || status != 0 || output_flush() < 0 || machine_is_running(a->machine) != 1)
			break;
		json_object_put(before);
		before = TAKE_PTR(now);
	}
	return status;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_LIST_VIEW struct list_view view = { 0 };
	int r = list_view_init(&view, &stats_list, o, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	return r < 0 ? output_failure(r, err) : stream(&a, o, &view);
}
