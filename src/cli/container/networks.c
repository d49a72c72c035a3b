/* SPDX-License-Identifier: Apache-2.0
 * See networks.h. */
#include "cli/container/networks.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "cli/container/values.h"

/* ---- one network ---- */

static struct json_object *member(struct json_object *o, const char *key, struct json_object *(*make)(void))
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(o, key, &value)) {
		value = make();
		json_add(o, key, value);
	}
	return value;
}

static void set_ip(struct json_object *endpoint, const char *key, const char *address)
{
	json_add_string(member(endpoint, "IPAMConfig", json_object_new_object), key, address);
}

static int take_field(struct json_object *endpoint, const char *key, const char *value, struct error **err)
{
	int64_t number = 0;
	if (streq(key, "alias")) {
		json_object_array_add(member(endpoint, "Aliases", json_object_new_array),
		    json_object_new_string(value));
		return 0;
	}
	if (streq(key, "ip") || streq(key, "ip6")) {
		set_ip(endpoint, streq(key, "ip") ? "IPv4Address" : "IPv6Address", value);
		return 0;
	}
	if (streq(key, "mac-address")) {
		json_add_string(endpoint, "MacAddress", value);
		return 0;
	}
	if (streq(key, "driver-opt"))
		return value_pair("network", value, member(endpoint, "DriverOpts", json_object_new_object), err);
	if (!streq(key, "gw-priority"))
		return error_set(err, EINVAL, "--network: there is no key \"%.40s\"; see holm-container(1)", key);
	int r = value_number("network gw-priority", value, &number, err);
	json_add_i64(endpoint, "GwPriority", number);
	return r;
}

/* *ret_name: owned. */
static int parse(const char *text, char **ret_name, struct json_object *endpoint, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTOFREE char *name = NULL;
	if (!strchr(text, '=')) {
		*ret_name = xstrdup(text);
		return 0;
	}
	strv_split(&parts, text, ",");
	for (size_t i = 0; i < parts.count; i++) {
		const char *equals = strchr(parts.items[i], '=');
		AUTOFREE char *key = xstrndup(parts.items[i], strcspn(parts.items[i], "="));
		if (!equals || !equals[1])
			return error_set(err, EINVAL, "--network \"%.80s\": write name=NAME,KEY=VALUE,...", text);
		if (streq(key, "name")) {
			free(name);
			name = xstrdup(equals + 1);
			continue;
		}
		int r = take_field(endpoint, key, equals + 1, err);
		if (r < 0)
			return r;
	}
	if (!name)
		return error_set(err, EINVAL, "--network \"%.80s\": name=NAME is missing", text);
	*ret_name = TAKE_PTR(name);
	return 0;
}

/* ---- all ---- */

static void add_plain_options(const struct options *o, struct json_object *endpoint)
{
	const struct strv *aliases = options_list(o, "network-alias");
	for (size_t i = 0; i < aliases->count; i++)
		json_object_array_add(member(endpoint, "Aliases", json_object_new_array),
		    json_object_new_string(aliases->items[i]));
	if (options_given(o, "ip"))
		set_ip(endpoint, "IPv4Address", options_string(o, "ip"));
	if (options_given(o, "ip6"))
		set_ip(endpoint, "IPv6Address", options_string(o, "ip6"));
	if (options_given(o, "link-local-ip"))
		json_add_strv(member(endpoint, "IPAMConfig", json_object_new_object), "LinkLocalIPs",
		    options_list(o, "link-local-ip"));
	if (options_given(o, "mac-address"))
		json_add_string(endpoint, "MacAddress", options_string(o, "mac-address"));
	if (options_given(o, "link"))
		json_add_strv(endpoint, "Links", options_list(o, "link"));
}

static int add_all(const struct options *o, const struct strv *texts, struct json_object *endpoints,
    struct json_object *host, struct error **err)
{
	for (size_t i = 0; i < texts->count; i++) {
		struct json_object *endpoint = json_object_new_object();
		AUTOFREE char *name = NULL;
		int r = parse(texts->items[i], &name, endpoint, err);
		if (r < 0) {
			json_object_put(endpoint);
			return r;
		}
		if (i == 0) {
			json_add_string(host, "NetworkMode", name);
			add_plain_options(o, endpoint);
		}
		json_object_object_add(endpoints, name, endpoint);
	}
	return 0;
}

/* An empty endpoint beside the mode says nothing. */
static int is_plain(struct json_object *endpoints)
{
	size_t members = 0;
	json_object_object_foreach(endpoints, name, endpoint)
	{
		(void)name;
		members += (size_t)json_object_object_length(endpoint);
	}
	return json_object_object_length(endpoints) == 1 && members == 0;
}

int networks_add(const struct options *o, struct json_object *config, struct json_object *host, struct error **err)
{
	AUTO_STRV struct strv texts = { 0 };
	AUTO_JSON struct json_object *endpoints = json_object_new_object();
	strv_add_all(&texts, options_list(o, "network"));
	strv_add_all(&texts, options_list(o, "net"));
	if (!texts.count)
		strv_add(&texts, "default");
	int r = add_all(o, &texts, endpoints, host, err);
	if (r < 0 || is_plain(endpoints))
		return r;
	struct json_object *networking = json_object_new_object();
	json_add(config, "NetworkingConfig", networking);
	json_add(networking, "EndpointsConfig", TAKE_PTR(endpoints));
	return 0;
}
