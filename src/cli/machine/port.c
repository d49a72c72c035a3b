/* SPDX-License-Identifier: Apache-2.0
 * `holm machine port ls|add|rm`: a port is tried, then machine.json is changed, then a running
 * machine follows at once. */
#include "base/alloc.h"
#include "base/clock.h"
#include "cli/machine/change.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/machine/ports.h"

enum { ANSWER_MS = 5000 };

static int run_ls(const struct command_spec *c, struct options *o);
static int run_add(const struct command_spec *c, struct options *o);
static int run_rm(const struct command_spec *c, struct options *o);

static const struct option_spec ls_options[] = {
	NAME_OPTION,
	FORMAT_OPTION("table"),
	{ 0 },
};
static const struct option_spec name_option[] = { NAME_OPTION, { 0 } };

const struct command_spec command_port_ls = {
	.name = "port ls",
	.aliases = (const char *const[]){ "port list", NULL },
	.summary = "list the ports inside that the host reaches",
	.options = ls_options,
	.target = TARGET_NAMED_OR_DEFAULT,
	.run = run_ls,
};
const struct command_spec command_port_add = {
	.name = "port add",
	.synopsis = "[IP:]HOST:INSIDE[/udp]...",
	.summary = "make ports inside reachable on the host, at once if the machine runs",
	.options = name_option,
	.min_arguments = 1,
	.max_arguments = -1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.run = run_add,
};
const struct command_spec command_port_rm = {
	.name = "port rm",
	.aliases = (const char *const[]){ "port delete", NULL },
	.synopsis = "[IP:]HOST[:INSIDE][/udp]...",
	.summary = "take published ports away again; open TCP connections go on",
	.options = name_option,
	.min_arguments = 1,
	.max_arguments = -1,
	.target = TARGET_NAMED_OR_DEFAULT,
	.run = run_rm,
};

/* ---- ls ---- */

/* Whether the keeper's list of sockets has the port; automatic: as one that opened by itself. */
static int is_bound(struct json_object *ports, const struct machine_publish *p, int automatic)
{
	for (size_t i = 0; ports && i < json_object_array_length(ports); i++) {
		struct json_object *o = json_object_array_get_idx(ports, i);
		const char *ip = "", *protocol = "";
		uint64_t host = 0, inside = 0;
		int is_auto = 0;
		json_get_bool(o, "auto", &is_auto, NULL);
		json_get_string(o, "ip", &ip, NULL);
		json_get_string(o, "protocol", &protocol, NULL);
		json_get_u64(o, "host", &host, NULL);
		json_get_u64(o, "inside", &inside, NULL);
		if (is_auto == automatic && host == p->host && inside == p->inside &&
		    streq(protocol, p->udp ? "udp" : "tcp") && streq(ip, p->ip ? p->ip : machine_publish_loopback[0]))
			return 1;
	}
	return 0;
}

static void add_row(struct json_object *rows, const struct machine_publish *p, int bound, int automatic)
{
	struct json_object *o = machine_publish_to_json(p);
	json_add_bool(o, "bound", bound);
	json_add_bool(o, "auto", automatic);
	json_object_array_add(rows, o);
}

/* A number that opened by itself: at the machine's address, and at localhost if it was free
 * there. */
static void add_auto_rows(struct json_object *rows, const struct machine *m, struct json_object *ports, uint16_t number)
{
	const struct machine_publish own = { m->address, number, number, 0 }, four = { NULL, number, number, 0 };
	const struct machine_publish six = { (char *)machine_publish_loopback[1], number, number, 0 };
	add_row(rows, &own, is_bound(ports, &own, 1), 1);
	if (is_bound(ports, &four, 1))
		add_row(rows, &four, 1, 1);
	else if (is_bound(ports, &six, 1))
		add_row(rows, &six, 1, 1);
}

/* All ports of the settings, and those that opened by themselves. Owned. */
static struct json_object *list_ports(const struct machine *m, struct json_object *state)
{
	struct json_object *rows = json_object_new_array(), *ports = NULL, *numbers = NULL;
	if (state)
		json_get_array(state, "ports", &ports, NULL);
	for (size_t i = 0; i < m->publish_count; i++)
		add_row(rows, &m->publish[i], is_bound(ports, &m->publish[i], 0), 0);
	if (state)
		json_get_array(state, "auto_ports", &numbers, NULL);
	for (size_t i = 0; numbers && i < json_object_array_length(numbers); i++)
		add_auto_rows(rows, m, ports, (uint16_t)json_object_get_int(json_object_array_get_idx(numbers, i)));
	return rows;
}

static void print_table(struct json_object *rows)
{
	static const char *const headers[] = { "ADDRESS", "HOST", "INSIDE", "PROTOCOL", "BOUND", "AUTO", NULL };
	AUTO_TABLE struct output_table t = { .headers = headers };
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *ip = "localhost", *protocol = "";
		uint64_t host = 0, inside = 0;
		int bound = 0, automatic = 0;
		json_get_string(row, "ip", &ip, NULL);
		json_get_string(row, "protocol", &protocol, NULL);
		json_get_u64(row, "host", &host, NULL);
		json_get_u64(row, "inside", &inside, NULL);
		json_get_bool(row, "bound", &bound, NULL);
		json_get_bool(row, "auto", &automatic, NULL);
		strv_add(&t.cells, ip);
		strv_addf(&t.cells, "%llu", (unsigned long long)host);
		strv_addf(&t.cells, "%llu", (unsigned long long)inside);
		strv_add(&t.cells, protocol);
		strv_add(&t.cells, bound ? "yes" : "no");
		strv_add(&t.cells, automatic ? "yes" : "no");
	}
	output_table_print(&t);
}

static int run_ls(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *state = NULL, *rows = NULL;
	AUTO_FORMAT struct format format = { 0 };
	int r = format_parse(options_string(o, "format"), "table", &format, &err);
	if (r == 0)
		r = machine_load(options_target(o), &m, &err);
	if (r < 0)
		return output_failure(r, err);
	client_state_word(m->name, clock_deadline(ANSWER_MS), &state);
	rows = list_ports(m, state);
	if (format.kind != FORMAT_OWN)
		return output_rows(&format, rows);
	print_table(rows);
	return 0;
}

/* ---- add and rm ---- */

static int apply_add(struct machine *m, void *data, struct error **err)
{
	const struct strv *words = data;
	for (size_t i = 0; i < words->count; i++) {
		struct machine_publish port = { 0 };
		int r = machine_publish_parse(words->items[i], &port, err);
		if (r == 0)
			r = machine_publish_add(m, &port, err);
		machine_publish_done(&port);
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_rm(struct machine *m, void *data, struct error **err)
{
	const struct strv *words = data;
	for (size_t i = 0; i < words->count; i++) {
		struct machine_publish port = { 0 };
		int r = machine_publish_choose(m, words->items[i], &port, err);
		if (r == 0)
			machine_publish_remove(m, &port);
		machine_publish_done(&port);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Prints the ports that one has and the other has not. */
static void print_ports(const struct machine *of, const struct machine *not_of)
{
	for (size_t i = 0; i < of->publish_count; i++) {
		AUTOFREE char *text = machine_publish_format(&of->publish[i]);
		if (!machine_publish_find(not_of, &of->publish[i]))
			output_line("%s", text);
	}
}

/* Changes the ports of the settings by apply(), then those of the running machine, and prints
 * what came or went. */
static int change_ports(struct options *o, int (*apply)(struct machine *m, void *data, struct error **err))
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *before = NULL, *after = NULL;
	const char *name = options_target(o);
	void *words = (void *)options_words(o);
	int r = machine_load(name, &before, &err);
	if (r == 0)
		r = machine_load(name, &after, &err);
	if (r == 0)
		r = apply(after, words, &err);
	if (r == 0)
		r = ports_try(before, after, machine_is_running(name) == 1 ? PORTS_NEEDED_NOW : PORTS_NEEDED_LATER,
		    &err);
	if (r == 0)
		r = change_machine(name, apply, words, &err);
	if (r < 0)
		return output_failure(r, err);
	ports_follow(before, after);
	print_ports(after, before);
	print_ports(before, after);
	return 0;
}

static int run_add(const struct command_spec *c, struct options *o)
{
	return change_ports(o, apply_add);
}

static int run_rm(const struct command_spec *c, struct options *o)
{
	return change_ports(o, apply_rm);
}
