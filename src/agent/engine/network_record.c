/* SPDX-License-Identifier: Apache-2.0
 * The body of POST /networks/create, which is also the larger part of a network's record. What
 * cannot be honoured is an error; an option of the driver that nobody knows is a warning of
 * `create`, as Docker's driver takes it silently. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "agent/engine/networks.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "docker/name.h"

enum { LIST_MAX = 1024, TOTAL_MAX = 64 * 1024, AUXILIARY_MAX = 64, MTU_MIN = 68, DRIVERS = 3 };

void network_done(struct network *n)
{
	free(TAKE_PTR(n->id));
	free(TAKE_PTR(n->name));
	free(TAKE_PTR(n->binding));
	json_object_put(TAKE_PTR(n->data));
	address_pool_free(TAKE_PTR(n->pool));
}

static int is_name(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
			  all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.- ";
	size_t size = strlen(name);
	return size >= 1 && size <= DOCKER_NAME_MAX && strchr(plain, name[0]) && strspn(name, all) == size;
}

/* ---- members ---- */

static int get_flag(struct json_object *o, const char *key, int *ret, struct error **err)
{
	int r = json_get_bool(o, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

static int get_word(struct json_object *o, const char *key, const char **ret, struct error **err)
{
	int r = json_get_string(o, key, ret, err);
	if (r == 0 && !**ret)
		*ret = NULL;
	return r == -ENOENT ? 0 : r;
}

static int get_name(struct json_object *o, struct network *n, struct error **err)
{
	const char *name = NULL;
	int r = get_word(o, "Name", &name, err);
	if (r < 0)
		return r;
	if (!name || !is_name(name))
		return error_set(err, EINVAL,
		    "invalid network name: \"%.64s\", only [a-zA-Z0-9][a-zA-Z0-9_. -] are allowed", name ? name : "");
	n->name = xstrdup(name);
	return 0;
}

static int get_driver(struct json_object *o, struct network *n, struct error **err)
{
	static const char *const names[DRIVERS] = { "bridge", "null", "host" };
	static const enum network_kind kinds[DRIVERS] = { NETWORK_BRIDGE, NETWORK_NONE, NETWORK_HOST };
	const char *driver = NULL;
	int r = get_word(o, "Driver", &driver, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < DRIVERS; i++)
		if (streq(driver ? driver : "bridge", names[i])) {
			n->kind = kinds[i];
			return 0;
		}
	return error_set(err, ENOENT, "plugin \"%.64s\" not found; choose the driver bridge", driver);
}

/* Members that ask for what there is not. */
static int check_refused(struct json_object *o, struct error **err)
{
	static const char *const flags[] = { "Ingress", "ConfigOnly" };
	const char *scope = NULL;
	int four = 1;
	int r = get_word(o, "Scope", &scope, err);
	if (r == 0)
		r = get_flag(o, "EnableIPv4", &four, err);
	if (r == 0 && !four)
		return error_set(err, EOPNOTSUPP,
		    "a network without IPv4 is not supported by holm's engine; leave EnableIPv4 (--ipv4) out");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++) {
		int on = 0;
		r = get_flag(o, flags[i], &on, err);
		if (r == 0 && on)
			return error_set(err, EOPNOTSUPP, "%s is not supported by holm's engine; leave it out",
			    flags[i]);
	}
	if (r == 0 && scope && !streq(scope, "local"))
		return error_set(err, EOPNOTSUPP, "scope \"%.64s\" is not supported by holm's engine; choose local",
		    scope);
	return r;
}

static int check_texts(struct json_object *o, const char *key, struct error **err)
{
	struct json_object *all = NULL;
	size_t total = 0;
	int r = json_get_object(o, key, &all, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	json_object_object_foreach(all, name, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, EINVAL, "%s: \"%.64s\" is no text", key, name);
		total += strlen(name) + (size_t)json_object_get_string_len(value);
	}
	return total <= TOTAL_MAX && json_object_object_length(all) <= LIST_MAX ?
		   0 :
		   error_set(err, EINVAL, "%s of a network are too long", key);
}

/* ---- options of the driver ---- */

#define BRIDGE_OPTION "com.docker.network.bridge."

static int take_name(struct network *n, const char *value)
{
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t size = strlen(value);
	if (size == 0 || size >= IFNAMSIZ || strspn(value, all) != size || value[0] == '.' || value[0] == '-')
		return -EINVAL;
	memcpy(n->bridge.name, value, size + 1);
	return 0;
}

static int take_icc(struct network *n, const char *value)
{
	int on = 1, r = parse_bool(value, &on);
	n->bridge.apart = !on;
	return r;
}

static int take_masquerade(struct network *n, const char *value)
{
	int on = 1, r = parse_bool(value, &on);
	n->bridge.no_masquerade = !on;
	return r;
}

static int take_mtu(struct network *n, const char *value)
{
	uint32_t mtu = 0;
	if (parse_u32(value, &mtu) < 0 || mtu < MTU_MIN || mtu > BRIDGE_MTU)
		return -EINVAL;
	n->bridge.mtu = mtu;
	return 0;
}

/* 0.0.0.0 is what docker writes by default: publish-address of the configuration. */
static int take_binding(struct network *n, const char *value)
{
	struct in_addr address;
	if (!value || inet_pton(AF_INET, value, &address) != 1)
		return -EINVAL;
	free(n->binding);
	n->binding = address.s_addr == INADDR_ANY ? NULL : xstrdup(value);
	return 0;
}

static const struct network_option {
	const char *key;
	int (*take)(struct network *n, const char *value);
} options[] = {
	{ BRIDGE_OPTION "name", take_name },
	{ BRIDGE_OPTION "enable_icc", take_icc },
	{ BRIDGE_OPTION "enable_ip_masquerade", take_masquerade },
	{ BRIDGE_OPTION "host_binding_ipv4", take_binding },
	{ "com.docker.network.driver.mtu", take_mtu },
};

const char *network_unknown_option(struct json_object *all)
{
	json_object_object_foreach(all, key, value)
	{
		size_t i = 0;
		while (i < ARRAY_SIZE(options) && !streq(options[i].key, key))
			i++;
		(void)value;
		if (i == ARRAY_SIZE(options))
			return key;
	}
	return NULL;
}

static int take_options(struct json_object *o, struct network *n, struct error **err)
{
	struct json_object *all = NULL, *value = NULL;
	int r = json_get_object(o, "Options", &all, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!json_object_object_get_ex(all, options[i].key, &value))
			continue;
		r = options[i].take(n, json_object_get_string(value));
		if (r < 0)
			return error_set(err, EINVAL, "invalid value for %s: \"%.64s\"", options[i].key,
			    json_object_get_string(value));
	}
	return 0;
}

/* ---- addresses ---- */

static int get_address(struct json_object *o, const char *key, const struct subnet *in, uint32_t *ret,
    struct error **err)
{
	const char *text = NULL;
	int r = get_word(o, key, &text, err);
	if (r < 0 || !text)
		return r;
	if (address_parse(text, ret) < 0)
		return error_set(err, EINVAL, "invalid %s address: %.64s", key, text);
	uint32_t last = in->base + ((UINT32_C(1) << (32 - in->prefix)) - 1);
	if (!subnet_contains(in, *ret) || *ret == in->base || *ret == last)
		return error_set(err, EINVAL, "%s %s is no host's address of the network's subnet", key, text);
	return 0;
}

/* A CIDR with bits of a host, such as 172.20.0.1/16, is the subnet around it. */
static int parse_subnet(const char *text, struct subnet *ret)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t prefix = 0, address = 0;
	if (!slash || parse_u32(slash + 1, &prefix) < 0 || prefix < SUBNET_WIDEST || prefix > SUBNET_NARROWEST)
		return -EINVAL;
	*slash = '\0';
	if (address_parse(copy, &address) < 0)
		return -EINVAL;
	*ret = (struct subnet){ address & (UINT32_MAX << (32 - prefix)), (uint8_t)prefix };
	return 0;
}

static int check_auxiliary(struct json_object *config, const struct subnet *in, struct error **err)
{
	struct json_object *all = NULL;
	int r = json_get_object(config, "AuxiliaryAddresses", &all, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_object_object_length(all) > AUXILIARY_MAX)
		return error_set(err, EINVAL, "a network can have %d auxiliary addresses at most", AUXILIARY_MAX);
	json_object_object_foreach(all, key, value)
	{
		uint32_t address = 0;
		(void)value;
		if ((r = get_address(all, key, in, &address, err)) < 0)
			return r;
	}
	return 0;
}

static int take_range(struct json_object *config, struct network *n, struct error **err)
{
	const char *text = NULL;
	int r = get_word(config, "IPRange", &text, err);
	if (r < 0 || !text)
		return r;
	if (parse_subnet(text, &n->range) < 0 || n->range.prefix < n->bridge.subnet.prefix ||
	    !subnet_contains(&n->bridge.subnet, n->range.base))
		return error_set(err, EINVAL, "invalid ip-range %.64s: it is no part of the subnet", text);
	return 0;
}

static int get_address6(struct json_object *o, const char *key, const struct subnet6 *in, struct in6_addr *ret,
    struct error **err)
{
	const char *text = NULL;
	int r = get_word(o, key, &text, err);
	if (r < 0 || !text)
		return r;
	if (address6_parse(text, ret) < 0)
		return error_set(err, EINVAL, "invalid %s address: %.64s", key, text);
	return subnet6_contains(in, ret) && !address6_equal(ret, &in->base) ?
		   0 :
		   error_set(err, EINVAL, "%s %s is no host's address of the network's subnet", key, text);
}

static int take_range6(struct json_object *config, struct network *n, struct error **err)
{
	const char *text = NULL;
	int r = get_word(config, "IPRange", &text, err);
	if (r < 0 || !text)
		return r;
	if (subnet6_parse(text, &n->range6) < 0 || n->range6.prefix < n->bridge.six.prefix ||
	    !subnet6_contains(&n->bridge.six, &n->range6.base))
		return error_set(err, EINVAL, "invalid ip-range %.64s: it is no part of the subnet", text);
	return 0;
}

/* Without EnableIPv6 it is taken and left, as by Docker. */
static int take_config6(struct json_object *config, const char *text, struct network *n, struct error **err)
{
	struct json_object *all = NULL;
	struct in6_addr address;
	if (n->has_own_subnet6)
		return error_set(err, EINVAL, "a network can have one IPv6 subnet");
	if (subnet6_parse(text, &n->bridge.six) < 0)
		return error_set(err, EINVAL, "invalid subnet %.64s: write an IPv6 network between /%d and /%d", text,
		    SUBNET6_WIDEST, SUBNET6_NARROWEST);
	n->has_own_subnet6 = 1;
	int r = get_address6(config, "Gateway", &n->bridge.six, &n->bridge.gateway6, err);
	if (r == 0)
		r = take_range6(config, n, err);
	if (r == 0)
		r = json_get_object(config, "AuxiliaryAddresses", &all, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_object_object_length(all) > AUXILIARY_MAX)
		return error_set(err, EINVAL, "a network can have %d auxiliary addresses at most", AUXILIARY_MAX);
	json_object_object_foreach(all, key, value)
	{
		(void)value;
		if ((r = get_address6(all, key, &n->bridge.six, &address, err)) < 0)
			return r;
	}
	return 0;
}

static int take_config(struct json_object *config, struct network *n, struct error **err)
{
	const char *text = NULL;
	int r = get_word(config, "Subnet", &text, err);
	if (r < 0)
		return r;
	if (!text) {
		const char *gateway = NULL, *range = NULL;
		(void)get_word(config, "Gateway", &gateway, NULL);
		(void)get_word(config, "IPRange", &range, NULL);
		return gateway || range ? error_set(err, EINVAL, "a gateway or ip-range needs a subnet (--subnet)") : 0;
	}
	if (strchr(text, ':'))
		return take_config6(config, text, n, err);
	if (n->bridge.subnet.prefix)
		return error_set(err, EINVAL, "a network can have one IPv4 subnet");
	if (parse_subnet(text, &n->bridge.subnet) < 0)
		return error_set(err, EINVAL, "invalid subnet %.64s: write an IPv4 network between /%d and /%d", text,
		    SUBNET_WIDEST, SUBNET_NARROWEST);
	n->has_own_subnet = 1;
	if ((r = get_address(config, "Gateway", &n->bridge.subnet, &n->bridge.gateway, err)) < 0 ||
	    (r = take_range(config, n, err)) < 0)
		return r;
	return check_auxiliary(config, &n->bridge.subnet, err);
}

static int take_ipam(struct json_object *o, struct network *n, struct error **err)
{
	struct json_object *ipam = NULL, *list = NULL;
	const char *driver = NULL;
	int r = json_get_object(o, "IPAM", &ipam, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = get_word(ipam, "Driver", &driver, err)) < 0)
		return r;
	if (driver && !streq(driver, "default"))
		return error_set(err, EOPNOTSUPP, "IPAM driver \"%.64s\" is not supported by holm's engine", driver);
	r = json_get_array(ipam, "Config", &list, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < json_object_array_length(list) && i < LIST_MAX; i++) {
		struct json_object *config = json_object_array_get_idx(list, i);
		if (json_object_is_type(config, json_type_object))
			r = take_config(config, n, err);
	}
	return r;
}

int network_parse(struct json_object *o, struct network *ret, struct error **err)
{
	AUTO_NETWORK struct network n = { 0 };
	int r;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the request's body is no JSON object");
	if ((r = get_name(o, &n, err)) < 0 || (r = get_driver(o, &n, err)) < 0 || (r = check_refused(o, err)) < 0 ||
	    (r = check_texts(o, "Labels", err)) < 0 || (r = check_texts(o, "Options", err)) < 0 ||
	    (r = get_flag(o, "Internal", &n.bridge.internal, err)) < 0 ||
	    (r = get_flag(o, "EnableIPv6", &n.wants_ipv6, err)) < 0 || (r = take_options(o, &n, err)) < 0 ||
	    (r = take_ipam(o, &n, err)) < 0)
		return r;
	if (!n.wants_ipv6) /* a container may still name an address of it, which it does not get */
		n.bridge.six.prefix = 0;
	n.data = json_object_get(o);
	*ret = n;
	n = (struct network){ 0 };
	return 0;
}

/* ---- records ---- */

char *network_store(const struct network *n)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTOFREE char *subnet = n->bridge.subnet.prefix ? subnet_format(&n->bridge.subnet) : NULL;
	AUTOFREE char *subnet6 = n->bridge.six.prefix ? subnet6_format(&n->bridge.six) : NULL;
	json_add_string(o, "Id", n->id);
	json_add_i64(o, "Created", n->created);
	json_add_string(o, "Bridge", n->bridge.name[0] ? n->bridge.name : NULL);
	json_add_string(o, "Subnet", subnet);
	if (subnet6)
		json_add_string(o, "Subnet6", subnet6);
	json_add(o, "Data", json_object_get(n->data));
	return json_to_string(o, 0);
}

static int load(struct json_object *o, struct network *n, struct error **err)
{
	struct json_object *data = NULL;
	const char *id = NULL, *bridge = NULL, *subnet = NULL, *subnet6 = NULL;
	struct subnet chosen = { 0 };
	struct subnet6 chosen6 = { .prefix = 0 };
	if (!json_object_is_type(o, json_type_object) || get_word(o, "Id", &id, err) < 0 || !id || !docker_is_id(id) ||
	    json_get_object(o, "Data", &data, err) < 0 || network_parse(data, n, err) < 0)
		return -EBADMSG;
	n->id = xstrdup(id);
	if (json_get_i64(o, "Created", &n->created, err) < 0 || n->created < 0 ||
	    get_word(o, "Bridge", &bridge, err) < 0 || get_word(o, "Subnet", &subnet, err) < 0 ||
	    get_word(o, "Subnet6", &subnet6, err) < 0 || (bridge && take_name(n, bridge) < 0) ||
	    (subnet && subnet_parse(subnet, &chosen) < 0) || (subnet6 && subnet6_parse(subnet6, &chosen6) < 0))
		return -EBADMSG;
	if (!n->bridge.six.prefix && n->wants_ipv6)
		n->bridge.six = chosen6;
	if (!n->bridge.subnet.prefix)
		n->bridge.subnet = chosen;
	return 0;
}

int network_load(const char *text, size_t size, struct network *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_NETWORK struct network n = { 0 };
	int r = size > NETWORK_FILE_MAX ? -EBADMSG : json_parse_bytes(text, size, "network", &o, err);
	if (r < 0 || load(o, &n, err) < 0)
		return err && *err ? -EBADMSG : error_set(err, EBADMSG, "it is no record of a network");
	*ret = n;
	n = (struct network){ 0 };
	return 0;
}
