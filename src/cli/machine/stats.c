/* SPDX-License-Identifier: Apache-2.0
 * `holm machine stats [NAME...]`: figures of machines. Each keeper hands the question to the agent
 * inside, whose figures mean the same in all isolations. A share of the processors is the
 * difference of two samples. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

enum { INTERVAL_MS = 1000, ANSWER_MS = 5000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "no-stream", 0, OPTION_FLAG, NULL, "show it once, instead of each second" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine, also those that are stopped" },
	FORMAT_OPTION("table"),
	{ 0 },
};

const struct command_spec command_stats = {
	.name = "stats",
	.synopsis = "[NAME...]",
	.summary = "show what machines use: processors, memory, network, disk",
	.details = "Without a name all running machines. The columns are docker's.",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_RUNNING,
	.complete = "machine",
	.run = run,
};

/* ---- samples ---- */

/* Rows of all machines: name, state, and of a running one usage and memory_limit. */
struct sample {
	struct json_object *rows;
	size_t running;
};

static void sample_done(struct sample *s)
{
	json_object_put(s->rows);
	*s = (struct sample){ 0 };
}

static void add_limit(struct json_object *row, const char *name, uint64_t deadline)
{
	AUTO_JSON struct json_object *settings = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	if (client_get(name, "/v1/settings", deadline, &settings, NULL) == 0 &&
	    machine_from_json(settings, &m, NULL) == 0)
		json_add_u64(row, "memory_limit", machine_memory(m));
}

static struct json_object *ask(const char *name, uint64_t deadline)
{
	struct json_object *row = json_object_new_object(), *usage = NULL;
	const char *state = client_state_word(name, deadline, NULL);
	json_add_string(row, "name", name);
	json_add_string(row, "state", state);
	if (!streq(state, "running"))
		return row;
	if (client_get(name, "/v1/usage", deadline, &usage, NULL) == 0)
		json_add(row, "usage", usage);
	add_limit(row, name, deadline);
	return row;
}

static int take_sample(struct options *o, struct sample *ret, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	const struct strv *names = options_targets(o);
	int only_running = !names->count && !options_given(o, "all");
	int r = names->count ? 0 : machine_list(&all, err);
	if (r < 0)
		return r;
	names = names->count ? names : &all;
	uint64_t deadline = clock_deadline(ANSWER_MS);
	*ret = (struct sample){ .rows = json_object_new_array() };
	for (size_t i = 0; i < names->count; i++) {
		int runs = machine_is_running(names->items[i]) == 1;
		ret->running += runs;
		if (runs || !only_running)
			json_object_array_add(ret->rows, ask(names->items[i], deadline));
	}
	return 0;
}

/* ---- rows ---- */

/* The machine's usage in the sample, borrowed, or NULL. */
static struct json_object *usage_in(const struct sample *s, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(s->rows); i++) {
		struct json_object *row = json_object_array_get_idx(s->rows, i), *usage = NULL;
		const char *text;
		if (json_get_string(row, "name", &text, NULL) == 0 && streq(text, name) &&
		    json_get_object(row, "usage", &usage, NULL) == 0)
			return usage;
	}
	return NULL;
}

/* With two places behind the point; null if not known. */
static void add_percent(struct json_object *o, const char *key, int known, double part, double whole)
{
	if (!known || whole <= 0) {
		json_add(o, key, NULL);
		return;
	}
	AUTOFREE char *text = xasprintf("%.2f", part / whole * 100);
	json_add(o, key, json_object_new_double_s(strtod(text, NULL), text));
}

static void add_cpu(struct json_object *o, struct json_object *before, struct json_object *now)
{
	int64_t used[2], time[2];
	int known = before && now && json_get_i64(before, "cpu_us", &used[0], NULL) == 0 &&
		    json_get_i64(now, "cpu_us", &used[1], NULL) == 0 &&
		    json_get_i64(before, "time_ms", &time[0], NULL) == 0 &&
		    json_get_i64(now, "time_ms", &time[1], NULL) == 0;
	/* A machine that has booted again in between counts from zero. */
	known = known && used[1] >= used[0] && time[1] > time[0];
	add_percent(o, "cpu_percent", known, known ? (double)(used[1] - used[0]) : 0,
	    known ? (double)(time[1] - time[0]) * 1000 : 0);
}

static void copy(struct json_object *o, const char *key, struct json_object *from, const char *from_key)
{
	struct json_object *value = from ? json_object_object_get(from, from_key) : NULL;
	json_add(o, key, json_object_get(value));
}

static struct json_object *compare(struct json_object *row, struct json_object *before)
{
	static const char *const same[] = { "network_received", "network_sent", "block_read", "block_written", "pids" };
	struct json_object *o = json_object_new_object(), *usage = json_object_object_get(row, "usage");
	int64_t used = 0, limit = 0;
	int known = usage && json_get_i64(usage, "memory", &used, NULL) == 0 &&
		    json_get_i64(row, "memory_limit", &limit, NULL) == 0;
	copy(o, "name", row, "name");
	copy(o, "state", row, "state");
	add_cpu(o, before, usage);
	copy(o, "memory_used", usage, "memory");
	copy(o, "memory_limit", row, "memory_limit");
	add_percent(o, "memory_percent", known, (double)used, (double)limit);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		copy(o, same[i], usage, same[i]);
	return o;
}

static struct json_object *compare_all(const struct sample *before, const struct sample *now)
{
	struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(now->rows); i++) {
		struct json_object *row = json_object_array_get_idx(now->rows, i);
		const char *name = "";
		json_get_string(row, "name", &name, NULL);
		json_object_array_add(rows, compare(row, usage_in(before, name)));
	}
	return rows;
}

/* ---- showing ---- */

static char *size_text(struct json_object *row, const char *key)
{
	uint64_t n;
	return json_get_u64(row, key, &n, NULL) == 0 ? format_size(n) : xstrdup("-");
}

static void add_pair(struct output_table *t, struct json_object *row, const char *first, const char *second)
{
	AUTOFREE char *a = size_text(row, first), *b = size_text(row, second);
	strv_addf(&t->cells, "%s / %s", a, b);
}

static void add_percent_cell(struct output_table *t, struct json_object *row, const char *key)
{
	struct json_object *value = json_object_object_get(row, key);
	if (value)
		strv_addf(&t->cells, "%.2f%%", json_object_get_double(value));
	else
		strv_add(&t->cells, "-");
}

static void print_table(struct json_object *rows)
{
	static const char *const headers[] = { "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O",
		"PIDS", NULL };
	static const char *const optional[] = { "BLOCK I/O", "MEM %", "NET I/O", NULL };
	AUTO_TABLE struct output_table t = { .headers = headers, .optional = optional };
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i),
				   *pids = json_object_object_get(row, "pids");
		const char *name = "";
		json_get_string(row, "name", &name, NULL);
		strv_add(&t.cells, name);
		add_percent_cell(&t, row, "cpu_percent");
		add_pair(&t, row, "memory_used", "memory_limit");
		add_percent_cell(&t, row, "memory_percent");
		add_pair(&t, row, "network_received", "network_sent");
		add_pair(&t, row, "block_read", "block_written");
		strv_add(&t.cells, pids ? json_object_get_string(pids) : "-");
	}
	output_table_print(&t);
}

static int show(const struct format *f, struct json_object *rows)
{
	if (f->kind != FORMAT_OWN)
		return output_rows(f, rows);
	print_table(rows);
	return 0;
}

/* Shows samples until nobody reads them or no machine runs any more. */
static int stream(struct options *o, const struct format *f, struct error **err)
{
	CLEANUP(sample_done) struct sample before = { 0 };
	int status, once = options_given(o, "no-stream"), r = take_sample(o, &before, err);
	while (r == 0) {
		CLEANUP(sample_done) struct sample now = { 0 };
		if (before.running)
			fd_wait(-1, 0, clock_deadline(INTERVAL_MS));
		r = take_sample(o, &now, err);
		if (r < 0)
			return r;
		AUTO_JSON struct json_object *rows = compare_all(&before, &now);
		if (!once)
			output_redraw();
		status = show(f, rows);
		if (once || status != 0 || !now.running || output_flush() < 0)
			return status;
		sample_done(&before);
		before = now;
		now = (struct sample){ 0 };
	}
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), "table", &format, &err);
	if (r == 0)
		r = stream(o, &format, &err);
	return r < 0 ? output_failure(r, err) : r;
}
