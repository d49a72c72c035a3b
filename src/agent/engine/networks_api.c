/* SPDX-License-Identifier: Apache-2.0
 * The Docker API's requests about networks themselves. */
#include <errno.h>
#include <stdio.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "docker/filters.h"

enum { WARNING_MAX = 512 };

static const char *const drivers[] = { [NETWORK_BRIDGE] = "bridge", [NETWORK_NONE] = "null", [NETWORK_HOST] = "host" };

/* ---- answers ---- */

static void copy(struct json_object *to, struct json_object *from, const char *key)
{
	struct json_object *value = NULL;
	json_get_object(from, key, &value, NULL);
	json_add(to, key, value ? json_object_get(value) : json_object_new_object());
}

static void add_flag(struct json_object *to, struct json_object *from, const char *key)
{
	int on = 0;
	(void)json_get_bool(from, key, &on, NULL);
	json_add_bool(to, key, on);
}

/* One subnet, with what the user wrote of it. */
static struct json_object *describe_config(struct json_object *configs, const char *subnet, const char *gateway)
{
	struct json_object *one = json_object_new_object(), *config = NULL;
	int six = strchr(subnet, ':') != NULL;
	json_add_string(one, "Subnet", subnet);
	for (size_t i = 0; configs && i < json_object_array_length(configs); i++) {
		const char *text = NULL;
		config = json_object_array_get_idx(configs, i);
		if (!json_object_is_type(config, json_type_object) ||
		    json_get_string(config, "Subnet", &text, NULL) < 0 || six != (strchr(text, ':') != NULL))
			continue;
		json_object_object_foreach(config, key, value)
		{
			if (value && !streq(key, "Subnet") && !streq(key, "Gateway"))
				json_object_object_add(one, key, json_object_get(value));
		}
	}
	json_add_string(one, "Gateway", gateway);
	return one;
}

/* The configuration that the user wrote, or the chosen one. */
static struct json_object *describe_ipam(const struct network *n)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array(), *given = NULL,
			   *configs = NULL, *options = NULL;
	char gateway[ADDRESS_TEXT_MAX], gateway6[ADDRESS6_TEXT_MAX];
	json_add_string(o, "Driver", "default");
	if (json_get_object(n->data, "IPAM", &given, NULL) == 0) {
		json_get_object(given, "Options", &options, NULL);
		json_get_array(given, "Config", &configs, NULL);
	}
	json_object_object_add(o, "Options", options ? json_object_get(options) : NULL);
	json_add(o, "Config", list);
	if (!n->bridge.subnet.prefix)
		return o;
	AUTOFREE char *subnet = subnet_format(&n->bridge.subnet);
	address_format(n->bridge.gateway, gateway);
	json_object_array_add(list, describe_config(configs, subnet, gateway));
	if (!n->bridge.six.prefix)
		return o;
	AUTOFREE char *subnet6 = subnet6_format(&n->bridge.six);
	address6_format(&n->bridge.gateway6, gateway6);
	json_object_array_add(list, describe_config(configs, subnet6, gateway6));
	return o;
}

static struct json_object *describe(const struct network *n)
{
	struct json_object *o = json_object_new_object(), *from = json_object_new_object();
	AUTOFREE char *created = clock_format_rfc3339(n->created);
	json_add_string(o, "Name", n->name);
	json_add_string(o, "Id", n->id);
	json_add_string(o, "Created", created);
	json_add_string(o, "Scope", "local");
	json_add_string(o, "Driver", drivers[n->kind]);
	json_add_bool(o, "EnableIPv4", 1);
	json_add_bool(o, "EnableIPv6", n->wants_ipv6);
	json_add(o, "IPAM", describe_ipam(n));
	add_flag(o, n->data, "Internal");
	add_flag(o, n->data, "Attachable");
	json_add_bool(o, "Ingress", 0);
	json_add_string(from, "Network", "");
	json_add(o, "ConfigFrom", from);
	json_add_bool(o, "ConfigOnly", 0);
	json_add(o, "Containers", json_object_new_object());
	copy(o, n->data, "Options");
	copy(o, n->data, "Labels");
	return o;
}

static struct json_object *describe_container(const struct container *c, const struct docker_endpoint *p,
    const struct network *n)
{
	struct json_object *o = json_object_new_object();
	char mac[DOCKER_MAC_TEXT], text[ADDRESS_TEXT_MAX];
	struct attachment a = endpoint_attachment(p, n);
	docker_mac_format(a.mac, mac);
	address_format(p->address, text);
	AUTOFREE char *address = xasprintf("%s/%u", text, n->bridge.subnet.prefix);
	char text6[ADDRESS6_TEXT_MAX];
	address6_format(&p->address6, text6);
	AUTOFREE char *address6 = *text6 ? xasprintf("%s/%u", text6, n->bridge.six.prefix) : xstrdup("");
	json_add_string(o, "Name", c->record.name);
	json_add_string(o, "EndpointID", p->id ? p->id : "");
	json_add_string(o, "MacAddress", mac);
	json_add_string(o, "IPv4Address", address);
	json_add_string(o, "IPv6Address", address6);
	return o;
}

/* A container of host or none has no address. */
static struct json_object *describe_without(const struct container *c)
{
	static const char *const empty[] = { "EndpointID", "MacAddress", "IPv4Address", "IPv6Address" };
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Name", c->record.name);
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		json_add_string(o, empty[i], "");
	return o;
}

static struct json_object *describe_whole(const struct engine *e, const struct network *n)
{
	struct json_object *o = describe(n), *all = json_object_new_object();
	for (struct container *c = e->containers; c; c = c->next) {
		const struct docker_endpoint *p = network_endpoint(n, c);
		if (p && p->address)
			json_object_object_add(all, c->record.id, describe_container(c, p, n));
		else if (c->pid && n->kind != NETWORK_BRIDGE && endpoints_match(c, n->name))
			json_object_object_add(all, c->record.id, describe_without(c));
	}
	json_add(o, "Containers", all);
	return o;
}

/* ---- filters ---- */

static int is_dangling(const struct engine *e, const struct network *n)
{
	return !n->is_default && !network_is_used(e, n);
}

static int matches(const struct engine *e, const struct network *n, const char *filter, const char *wish)
{
	int on = 0;
	if (streq(filter, "driver"))
		return streq(drivers[n->kind], wish);
	if (streq(filter, "scope"))
		return streq(wish, "local");
	if (streq(filter, "type"))
		return streq(wish, n->is_default ? "builtin" : "custom");
	return parse_bool(wish, &on) == 0 && on == is_dangling(e, n);
}

static int check_values(struct json_object *filters, struct error **err)
{
	AUTO_STRV struct strv types = { 0 }, dangling = { 0 };
	int on;
	docker_filters_get(filters, "type", &types);
	docker_filters_get(filters, "dangling", &dangling);
	for (size_t i = 0; i < types.count; i++)
		if (!streq(types.items[i], "builtin") && !streq(types.items[i], "custom"))
			return error_set(err, EINVAL, "invalid filter: 'type'='%.64s'", types.items[i]);
	for (size_t i = 0; i < dangling.count; i++)
		if (parse_bool(dangling.items[i], &on) < 0)
			return error_set(err, EINVAL, "invalid filter 'dangling=%.64s'", dangling.items[i]);
	return 0;
}

static int passes(const struct engine *e, const struct network *n, struct json_object *filters)
{
	static const char *const keys[] = { "driver", "scope", "type", "dangling" };
	struct json_object *labels = NULL;
	if (!docker_filters_match_text(filters, "name", n->name) || !docker_filters_match_text(filters, "id", n->id))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		AUTO_STRV struct strv wishes = { 0 };
		int any = 0;
		docker_filters_get(filters, keys[i], &wishes);
		for (size_t k = 0; k < wishes.count; k++)
			any |= matches(e, n, keys[i], wishes.items[k]);
		if (wishes.count && !any)
			return 0;
	}
	json_get_object(n->data, "Labels", &labels, NULL);
	return docker_filters_match_labels(filters, labels);
}

void engine_networks(struct engine *e, struct http_exchange *x, const char *name)
{
	static const char *const known[] = { "name", "id", "driver", "scope", "type", "dangling", "label", NULL };
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *filters = NULL;
	AUTOFREE char *text = engine_query(x, "filters");
	int r = docker_filters_parse(text, known, &filters, &err);
	if (r == 0)
		r = check_values(filters, &err);
	if (r < 0) {
		engine_error(x, -EINVAL, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (const struct network *n = e->networks; n; n = n->next)
		if (passes(e, n, filters))
			json_object_array_add(list, describe(n));
	http_respond_json(x, 200, list);
}

void engine_network_inspect(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	const struct network *n = network_find(e, name, &err);
	if (n)
		http_respond_json(x, 200, describe_whole(e, n));
	else
		engine_error(x, -err->code, err);
}

/* ---- create ---- */

static char *make_warning(const struct engine *e, const struct network *n)
{
	struct json_object *options = NULL;
	const char *unknown = NULL;
	if (!e->has_bridge)
		return xstrdup(
		    "containers on this network use the machine's own network, as the kernel gives it no nftables");
	if (n->wants_ipv6 && !bridge_has_ipv6())
		return xstrdup("containers on this network have IPv4 alone, as the kernel gives the machine no IPv6");
	if (json_get_object(n->data, "Options", &options, NULL) == 0)
		unknown = network_unknown_option(options);
	return unknown ? xasprintf("the option %.*s is not known, and does nothing", WARNING_MAX, unknown) : NULL;
}

/* Docker refuses its own names before anything else. */
static int check_name(struct json_object *body, struct error **err)
{
	static const char *const own[] = { "bridge", "host", "none", "default" };
	const char *name = "";
	json_get_string(body, "Name", &name, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (streq(own[i], name))
			return error_set(err, EPERM, "operation is not permitted on predefined %s network", name);
	if (startswith(name, "container:"))
		return error_set(err, EINVAL, "invalid network name: \"%.64s\"", name);
	return 0;
}

void engine_network_create(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_NETWORK struct network parsed = { 0 };
	struct network *n = NULL;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? check_name(body, &err) : -EINVAL;
	if (r == 0)
		r = network_parse(body, &parsed, &err);
	if (r == 0)
		r = network_add(e, &parsed, &n, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	AUTOFREE char *warning = make_warning(e, n);
	struct json_object *answer = json_object_new_object();
	network_event(e, n, "create", NULL);
	json_add_string(answer, "Id", n->id);
	json_add_string(answer, "Warning", warning ? warning : "");
	http_respond_json(x, 201, answer);
}

/* ---- remove ---- */

void engine_network_remove(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct network *n = network_find(e, name, &err);
	int r = n ? 0 : -err->code;
	if (n && n->is_default)
		r = error_set(&err, EPERM, "%s is a pre-defined network and cannot be removed", n->name);
	else if (n && network_is_used(e, n))
		r = error_set(&err, EPERM, "error while removing network: network %s has active endpoints", n->name);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	network_remove(e, n);
	http_respond(x, 204, NULL, NULL, 0);
}

/* Whether any container names it, also one that does not run. */
static int is_wanted(const struct engine *e, const struct network *n)
{
	for (struct container *c = e->containers; c; c = c->next)
		if (network_endpoint(n, c))
			return 1;
	return 0;
}

void engine_networks_prune(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *filters = NULL;
	AUTO_STRV struct strv deleted = { 0 };
	int64_t until;
	int r = engine_prune_filters(x, &filters, &until, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	struct network *list[NETWORKS_MAX];
	for (struct network *n = e->networks; n && deleted.count < NETWORKS_MAX; n = n->next) {
		struct json_object *labels = NULL;
		json_get_object(n->data, "Labels", &labels, NULL);
		if (n->is_default || is_wanted(e, n) || (until && n->created >= until) ||
		    !docker_filters_match_labels(filters, labels))
			continue;
		list[deleted.count] = n;
		strv_add(&deleted, n->name);
	}
	networks_remove(e, list, deleted.count);
	struct json_object *answer = json_object_new_object();
	json_add_strv(answer, "NetworksDeleted", &deleted);
	event_prune(e, "network", 0);
	http_respond_json(x, 200, answer);
}
