/* SPDX-License-Identifier: Apache-2.0
 * `holm network`: the networks of a machine's containers. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/container/change.h"
#include "cli/container/list.h"
#include "cli/container/prune.h"
#include "cli/container/values.h"
#include "cli/output.h"

#define NS_PER_S 1000000000LL

static int run_create(const struct command_spec *c, struct options *o);
static int run_ls(const struct command_spec *c, struct options *o);
static int run_rm(const struct command_spec *c, struct options *o);
static int run_prune(const struct command_spec *c, struct options *o);
static int run_connect(const struct command_spec *c, struct options *o);
static int run_disconnect(const struct command_spec *c, struct options *o);

static const struct option_spec create_options[] = {
	{ "attachable", 0, OPTION_FLAG, NULL, "taken for docker's sake; every container can be connected" },
	{ "aux-address", 0, OPTION_LIST, "NAME=ADDRESS", "an address that no container gets; may be repeated" },
	{ "config-from", 0, OPTION_STRING, "NETWORK", "of swarms, which the engine refuses" },
	{ "config-only", 0, OPTION_SWITCH, NULL, "of swarms, which the engine refuses" },
	{ "driver", 'd', OPTION_STRING, "NAME", "the driver", .default_text = "bridge" },
	{ "gateway", 0, OPTION_LIST, "ADDRESS", "the machine's address on it, one for each subnet",
	    .default_text = "the first one" },
	{ "ingress", 0, OPTION_SWITCH, NULL, "of swarms, which the engine refuses" },
	{ "internal", 0, OPTION_FLAG, NULL, "it leads nowhere but to its containers" },
	{ "ip-range", 0, OPTION_LIST, "CIDR", "the part of a subnet that containers get addresses of" },
	{ "ipam-driver", 0, OPTION_STRING, "NAME", "what gives out addresses", .default_text = "default" },
	{ "ipam-opt", 0, OPTION_LIST, "KEY=VALUE", "an option of that, which inspect shows; it has no effect" },
	{ "ipv4", 0, OPTION_SWITCH, NULL, "give it IPv4; the engine has no networks without", .default_text = "true" },
	{ "ipv6", 0, OPTION_SWITCH, NULL, "give it IPv6, too" },
	{ "label", 0, OPTION_LIST, "KEY[=VALUE]", "a label; may be repeated" },
	{ "opt", 'o', OPTION_LIST, "KEY=VALUE", "an option of the driver; may be repeated" },
	{ "scope", 0, OPTION_STRING, "local", "where it is known", .default_text = "local" },
	{ "subnet", 0, OPTION_LIST, "CIDR", "its addresses, of IPv4 and of IPv6", .default_text = "a free subnet" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_create = {
	.name = "create",
	.synopsis = "NETWORK",
	.summary = "make a network, and print its id",
	.details = "Containers on it find each other by their names; other networks cannot reach them.",
	.options = create_options,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_create,
};

static const struct option_spec ls_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "ids only" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE",
	    "only those that match: name, id, label, driver, scope, type, dangling" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole ids" },
	LIST_FORMAT_OPTION,
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_ls = {
	.name = "ls",
	.aliases = (const char *const[]){ "list", NULL },
	.synopsis = "",
	.summary = "list the networks",
	.details = "Fields of a template: ID Name Driver Scope IPv4 IPv6 Internal CreatedAt Labels Label.",
	.options = ls_options,
	.run = run_ls,
};

static const struct option_spec rm_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "a network that is not there is fine" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_rm = {
	.name = "rm",
	.aliases = (const char *const[]){ "remove", NULL },
	.synopsis = "NETWORK...",
	.complete = "network",
	.summary = "remove networks that no running container has",
	.options = rm_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.run = run_rm,
};

static const struct option_spec prune_options[] = { PRUNE_OPTIONS, API_MACHINE_OPTION, { 0 } };

const struct command_spec command_network_prune = {
	.name = "prune",
	.synopsis = "",
	.summary = "remove the networks that no container has",
	.options = prune_options,
	.run = run_prune,
};

static const struct option_spec connect_options[] = {
	{ "alias", 0, OPTION_LIST, "NAME", "a further name of the container there; may be repeated" },
	{ "driver-opt", 0, OPTION_LIST, "KEY=VALUE", "an option of the driver, which the engine refuses" },
	{ "gw-priority", 0, OPTION_STRING, "N", "the highest has the default route", .default_text = "0" },
	{ "ip", 0, OPTION_STRING, "ADDRESS", "a fixed address" },
	{ "ip6", 0, OPTION_STRING, "ADDRESS", "a fixed IPv6 address" },
	{ "link", 0, OPTION_LIST, "CONTAINER[:ALIAS]", "a further name of another container, for this one alone" },
	{ "link-local-ip", 0, OPTION_LIST, "ADDRESS", "a link-local address, which the engine refuses" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_connect = {
	.name = "connect",
	.synopsis = "NETWORK CONTAINER",
	.complete = "network",
	.summary = "connect a container, also a running one, to one more network",
	.options = connect_options,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_connect,
};

static const struct option_spec disconnect_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "taken for docker's sake" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_network_disconnect = {
	.name = "disconnect",
	.synopsis = "NETWORK CONTAINER",
	.complete = "network",
	.summary = "take a container, also a running one, off a network",
	.options = disconnect_options,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_disconnect,
};

/* ---- create ---- */

static int is_six(const char *text)
{
	return strchr(text, ':') != NULL;
}

/* The configuration of the subnet of that family; a new one where there is none. */
static struct json_object *config_of(struct json_object *list, int six)
{
	const char *subnet = NULL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *config = json_object_array_get_idx(list, i);
		if (json_get_string(config, "Subnet", &subnet, NULL) == 0 && is_six(subnet) == six)
			return config;
	}
	struct json_object *config = json_object_new_object();
	json_object_array_add(list, config);
	return config;
}

static int add_auxiliary(struct json_object *list, const struct strv *pairs, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < pairs->count; i++) {
		struct json_object *config = config_of(list, is_six(pairs->items[i])), *all = NULL;
		if (json_get_object(config, "AuxiliaryAddresses", &all, NULL) < 0)
			json_add(config, "AuxiliaryAddresses", all = json_object_new_object());
		r = value_pair("aux-address", pairs->items[i], all, err);
	}
	return r;
}

/* Each subnet is a configuration; the other options join that of their family. */
static int add_ipam(struct json_object *body, const struct options *o, struct error **err)
{
	static const char *const members[][2] = { { "ip-range", "IPRange" }, { "gateway", "Gateway" } };
	struct json_object *ipam = json_object_new_object(), *list = json_object_new_array();
	const struct strv *subnets = options_list(o, "subnet");
	json_add(body, "IPAM", ipam);
	json_add_string(ipam, "Driver", options_string(o, "ipam-driver"));
	int r = value_pairs("ipam-opt", options_list(o, "ipam-opt"), ipam, "Options", err);
	if (r < 0)
		return r;
	json_add(ipam, "Config", list);
	for (size_t i = 0; i < subnets->count; i++) {
		struct json_object *config = json_object_new_object();
		json_add_string(config, "Subnet", subnets->items[i]);
		json_object_array_add(list, config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct strv *values = options_list(o, members[i][0]);
		for (size_t k = 0; k < values->count; k++) {
			struct json_object *config = config_of(list, is_six(values->items[k]));
			if (json_object_object_get_ex(config, members[i][1], NULL))
				return error_set(err, EINVAL, "--%s %.80s: its subnet has one already", members[i][0],
				    values->items[k]);
			json_add_string(config, members[i][1], values->items[k]);
		}
	}
	return add_auxiliary(list, options_list(o, "aux-address"), err);
}

static int make_body(const struct options *o, struct json_object *body, struct error **err)
{
	json_add_string(body, "Name", options_words(o)->items[0]);
	json_add_string(body, "Driver", options_string(o, "driver"));
	json_add_string(body, "Scope", options_string(o, "scope"));
	json_add_bool(body, "Internal", options_given(o, "internal"));
	json_add_bool(body, "Attachable", options_given(o, "attachable"));
	json_add_bool(body, "EnableIPv6", options_switch(o, "ipv6", 0));
	json_add_bool(body, "EnableIPv4", options_switch(o, "ipv4", 1));
	json_add_bool(body, "ConfigOnly", options_switch(o, "config-only", 0));
	json_add_bool(body, "Ingress", options_switch(o, "ingress", 0));
	if (options_given(o, "config-from")) {
		struct json_object *from = json_object_new_object();
		json_add_string(from, "Network", options_string(o, "config-from"));
		json_add(body, "ConfigFrom", from);
	}
	int r = value_pairs("label", options_list(o, "label"), body, "Labels", err);
	if (r == 0)
		r = value_pairs("opt", options_list(o, "opt"), body, "Options", err);
	return r < 0 ? r : add_ipam(body, o, err);
}

static int run_create(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_JSON struct json_object *body = json_object_new_object(), *answer = NULL;
	const char *name = options_words(o)->items[0], *id = "", *warning = "";
	int r = make_body(o, body, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	r = api_call(&a, "POST", "/networks/create", body, &answer, &err);
	if (r >= 0)
		r = answer ? json_get_string(answer, "Id", &id, &err) : -EPROTO;
	if (r < 0)
		return api_failure(&a, "network", name, r, &err);
	if (json_get_string(answer, "Warning", &warning, NULL) == 0 && *warning)
		output_note("network \"%s\": %s", name, warning);
	output_line("%s", id);
	return 0;
}

/* ---- ls ---- */

static const struct list_field fields[] = { { "ID", "NETWORK ID" }, { "Name", "NAME" }, { "Driver", "DRIVER" },
	{ "Scope", "SCOPE" }, { "IPv4", "IPV4" }, { "IPv6", "IPV6" }, { "Internal", "INTERNAL" },
	{ "CreatedAt", "CREATED AT" }, { "Labels", "LABELS" }, { 0 } };
static const char *const columns[] = { "ID", "Name", "Driver", "Scope", NULL };
static const struct list list = { .fields = fields, .table = columns, .quiet = "ID" };

static void add_flag(struct json_object *row, const char *key, struct json_object *from, const char *member)
{
	int on = 0;
	json_get_bool(from, member, &on, NULL);
	json_add_string(row, key, on ? "true" : "false");
}

static struct json_object *make_row(struct json_object *from, const struct list_view *v, int whole)
{
	static const char *const texts[] = { "Name", "Driver", "Scope", NULL };
	struct json_object *row = json_object_new_object();
	const char *id = "", *created = "";
	int64_t ns = 0;
	json_get_string(from, "Id", &id, NULL);
	json_get_string(from, "Created", &created, NULL);
	AUTOFREE char *shown = list_id(id, whole);
	json_add_string(row, "ID", shown);
	list_add_texts(row, from, texts);
	add_flag(row, "IPv4", from, "EnableIPv4");
	add_flag(row, "IPv6", from, "EnableIPv6");
	add_flag(row, "Internal", from, "Internal");
	clock_parse_rfc3339(created, &ns);
	AUTOFREE char *time = list_time(ns / NS_PER_S);
	json_add_string(row, "CreatedAt", time);
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
	int r = list_view_init(&view, &list, o, &err);
	if (r == 0)
		r = api_filters(options_list(o, "filter"), &filters, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *target = api_target("/networks", "filters", filters, NULL);
	r = api_call(&a, "GET", target, NULL, &answer, &err);
	if (r < 0)
		return api_failure(&a, NULL, NULL, r, &err);
	for (size_t i = 0; json_object_is_type(answer, json_type_array) && i < json_object_array_length(answer); i++)
		json_object_array_add(rows,
		    make_row(json_object_array_get_idx(answer, i), &view, options_given(o, "no-trunc")));
	return list_show(&view, rows);
}

/* ---- rm, prune ---- */

static int run_rm(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	struct change what = { .kind = "network",
		.before = "/networks/",
		.after = "",
		.method = "DELETE",
		.query = "",
		.missing_is_fine = options_given(o, "force") };
	return change_each(&a, options_words(o), &what);
}

static int run_prune(const struct command_spec *c, struct options *o)
{
	static const struct prune what = { .target = "/networks/prune",
		.deleted = "NetworksDeleted",
		.title = "Deleted Networks:",
		.question = "This removes all networks that no container has." };
	return prune_run(&what, c, o);
}

/* ---- connect, disconnect ---- */

static int add_endpoint(struct json_object *body, const struct options *o, struct error **err)
{
	struct json_object *endpoint = json_object_new_object(), *ipam = NULL;
	int64_t priority = 0;
	int r = 0;
	json_add(body, "EndpointConfig", endpoint);
	json_add_strv(endpoint, "Aliases", options_list(o, "alias"));
	json_add_strv(endpoint, "Links", options_list(o, "link"));
	if (options_given(o, "ip") || options_given(o, "ip6") || options_given(o, "link-local-ip"))
		json_add(endpoint, "IPAMConfig", ipam = json_object_new_object());
	if (options_given(o, "ip"))
		json_add_string(ipam, "IPv4Address", options_string(o, "ip"));
	if (options_given(o, "ip6"))
		json_add_string(ipam, "IPv6Address", options_string(o, "ip6"));
	if (options_given(o, "link-local-ip"))
		json_add_strv(ipam, "LinkLocalIPs", options_list(o, "link-local-ip"));
	if (options_given(o, "gw-priority"))
		r = value_number("gw-priority", options_string(o, "gw-priority"), &priority, err);
	json_add_i64(endpoint, "GwPriority", priority);
	return r < 0 ? r : value_pairs("driver-opt", options_list(o, "driver-opt"), endpoint, "DriverOpts", err);
}

static int send_change(const struct command_spec *c, struct options *o, const char *verb, struct json_object *body)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	const struct strv *words = options_words(o);
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *target = api_path("/networks/", words->items[0], verb);
	json_add_string(body, "Container", words->items[1]);
	r = api_call(&a, "POST", target, body, NULL, &err);
	return r < 0 ? api_failure(&a, "network", words->items[0], r, &err) : 0;
}

static int run_connect(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *body = json_object_new_object();
	int r = add_endpoint(body, o, &err);
	return r < 0 ? output_failure(r, err) : send_change(c, o, "/connect", body);
}

static int run_disconnect(const struct command_spec *c, struct options *o)
{
	AUTO_JSON struct json_object *body = json_object_new_object();
	json_add_bool(body, "Force", options_given(o, "force"));
	return send_change(c, o, "/disconnect", body);
}
