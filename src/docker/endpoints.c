/* SPDX-License-Identifier: Apache-2.0
 * See endpoints.h. */
#include "docker/endpoints.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "docker/name.h"

enum { ALIAS_MAX = 255, NETWORK_MAX = 255, INTERFACES_MAX = 9999 };

void docker_endpoint_done(struct docker_endpoint *p)
{
	free(TAKE_PTR(p->network));
	free(TAKE_PTR(p->name));
	free(TAKE_PTR(p->id));
	strv_done(&p->aliases);
	strv_done(&p->links);
}

void docker_endpoints_done(struct docker_endpoints *list)
{
	for (size_t i = 0; i < list->count; i++)
		docker_endpoint_done(&list->items[i]);
	free(TAKE_PTR(list->items));
	list->count = 0;
}

int docker_endpoints_add(struct docker_endpoints *list, struct docker_endpoint *p, struct error **err)
{
	if (list->count >= DOCKER_ENDPOINTS_MAX) {
		docker_endpoint_done(p);
		return error_set(err, E2BIG, "a container can have %d networks at most", DOCKER_ENDPOINTS_MAX);
	}
	list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
	list->items[list->count++] = *p;
	*p = (struct docker_endpoint){ 0 };
	return 0;
}

void docker_endpoints_remove(struct docker_endpoints *list, size_t at)
{
	docker_endpoint_done(&list->items[at]);
	list->count--;
	memmove(&list->items[at], &list->items[at + 1], (list->count - at) * sizeof *list->items);
}

/* ---- words ---- */

int docker_mac_parse(const char *text, unsigned char ret[static DOCKER_MAC_SIZE])
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	char separator = text[0] && text[1] ? text[2] : 0;
	if (strlen(text) != DOCKER_MAC_TEXT - 1 || (separator != ':' && separator != '-'))
		return -EINVAL;
	for (size_t i = 0; i < DOCKER_MAC_SIZE; i++, text += 3) {
		const char *high = strchr(digits, text[0]), *low = strchr(digits, text[1]);
		if (!high || !low || !*high || !*low || (i < DOCKER_MAC_SIZE - 1 && text[2] != separator))
			return -EINVAL;
		ret[i] = (unsigned char)((high - digits) % 16 * 16 + (low - digits) % 16);
	}
	return ret[0] & 1 ? -EINVAL : 0;
}

void docker_mac_format(const unsigned char mac[static DOCKER_MAC_SIZE], char ret[static DOCKER_MAC_TEXT])
{
	snprintf(ret, DOCKER_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

int docker_is_alias(const char *text)
{
	size_t size = strlen(text);
	return size > 0 && size <= ALIAS_MAX && text[0] != '-' && text[0] != '.' &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == size;
}

/* "CONTAINER[:ALIAS]", a slash in front or without. */
static int add_link(struct strv *links, const char *text, struct error **err)
{
	const char *whole = text[0] == '/' ? text + 1 : text, *colon = strchr(whole, ':');
	AUTOFREE char *name = xstrndup(whole, strcspn(whole, ":"));
	const char *alias = colon ? colon + 1 : name, *slash = strrchr(alias, '/');
	if (slash) /* "/db:/web/db", as inspect shows one */
		alias = slash + 1;
	if (!docker_is_alias(name) || !docker_is_alias(alias))
		return error_set(err, EINVAL, "invalid link \"%.80s\" (--link): write CONTAINER[:ALIAS]", text);
	if (links->count >= DOCKER_ALIASES_MAX)
		return error_set(err, E2BIG, "a container can have %d links at most", DOCKER_ALIASES_MAX);
	strv_addf(links, "%s:%s", name, alias);
	return 0;
}

static int add_alias(struct strv *aliases, const char *text, struct error **err)
{
	if (!docker_is_alias(text))
		return error_set(err, EINVAL,
		    "invalid network alias \"%.80s\": use letters, digits, \"-\", \"_\" and \".\"", text);
	if (aliases->count >= DOCKER_ALIASES_MAX)
		return error_set(err, E2BIG, "a container can have %d aliases at most", DOCKER_ALIASES_MAX);
	if (!strv_contains(aliases, text))
		strv_add(aliases, text);
	return 0;
}

static int add_words(struct json_object *o, const char *key, struct strv *to,
    int (*add)(struct strv *to, const char *text, struct error **err), struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	int r = json_get_strv(o, key, &words, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < words.count; i++)
		r = add(to, words.items[i], err);
	return r;
}

/* An empty text is none. */
static int get_word(struct json_object *o, const char *key, const char **ret, struct error **err)
{
	int r = json_get_string(o, key, ret, err);
	if (r == 0 && !**ret)
		*ret = NULL;
	return r == -ENOENT ? 0 : r;
}

static int get_mac(struct json_object *o, struct docker_endpoint *p, struct error **err)
{
	const char *text = NULL;
	int r = get_word(o, "MacAddress", &text, err);
	if (r < 0 || !text)
		return r;
	if (docker_mac_parse(text, p->mac) < 0)
		return error_set(err, EINVAL, "invalid MAC address: %.40s", text);
	p->has_mac = 1;
	return 0;
}

static int parse_address(const char *text, uint32_t *ret)
{
	struct in_addr a;
	if (inet_pton(AF_INET, text, &a) != 1 || !a.s_addr)
		return -EINVAL;
	*ret = ntohl(a.s_addr);
	return 0;
}

static int parse_address6(const char *text, struct in6_addr *ret)
{
	struct in6_addr a;
	if (inet_pton(AF_INET6, text, &a) != 1 || IN6_IS_ADDR_UNSPECIFIED(&a))
		return -EINVAL;
	*ret = a;
	return 0;
}

/* ---- one endpoint ---- */

static int get_ipam(struct json_object *o, struct docker_endpoint *p, struct error **err)
{
	struct json_object *ipam = NULL, *local = NULL;
	const char *four = NULL, *six = NULL;
	int r = json_get_object(o, "IPAMConfig", &ipam, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = get_word(ipam, "IPv4Address", &four, err)) < 0 || (r = get_word(ipam, "IPv6Address", &six, err)) < 0)
		return r;
	if (json_get_array(ipam, "LinkLocalIPs", &local, NULL) == 0 && json_object_array_length(local))
		return error_set(err, EOPNOTSUPP, "LinkLocalIPs (--link-local-ip) are not supported by holm's engine");
	if (six && parse_address6(six, &p->wish6) < 0)
		return error_set(err, EINVAL, "invalid IPv6 address: %.64s", six);
	if (four && parse_address(four, &p->wish) < 0)
		return error_set(err, EINVAL, "invalid IPv4 address: %.40s", four);
	return 0;
}

static int check_options(struct json_object *o, struct error **err)
{
	struct json_object *options = NULL;
	int r = json_get_object(o, "DriverOpts", &options, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	json_object_object_foreach(options, key, value)
	{
		(void)value;
		return error_set(err, EOPNOTSUPP,
		    "driver option \"%.80s\" of a network is not supported by holm's engine", key);
	}
	return 0;
}

/* A client may send what inspect showed: the members of a run, such as IPAddress, are left out. */
int docker_endpoint_parse(const char *name, struct json_object *o, struct docker_endpoint *ret, struct error **err)
{
	AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
	int r = 0;
	if (!*name || strlen(name) > NETWORK_MAX)
		return error_set(err, EINVAL, "invalid network name: \"%.80s\"", name);
	p.network = xstrdup(streq(name, "default") ? "bridge" : name);
	if (o && !json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the settings of network \"%.80s\" are no object", name);
	if (o && ((r = get_ipam(o, &p, err)) < 0 || (r = get_mac(o, &p, err)) < 0 || (r = check_options(o, err)) < 0 ||
		     (r = add_words(o, "Aliases", &p.aliases, add_alias, err)) < 0 ||
		     (r = add_words(o, "Links", &p.links, add_link, err)) < 0))
		return r;
	r = o ? json_get_i64(o, "GwPriority", &p.priority, err) : 0;
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = p;
	p = (struct docker_endpoint){ 0 };
	return 0;
}

/* ---- a create body ---- */

static int has_no_endpoints(const char *mode)
{
	return streq(mode, "none") || streq(mode, "host") || startswith(mode, "container:");
}

/* The endpoint of NetworkMode, in front of the others. */
static int add_first(struct docker_endpoints *list, const char *mode, struct json_object *all, struct error **err)
{
	AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
	struct json_object *o = NULL;
	if (all && !json_object_object_get_ex(all, mode, &o) && streq(mode, "bridge"))
		json_object_object_get_ex(all, "default", &o);
	int r = docker_endpoint_parse(mode, o, &p, err);
	return r < 0 ? r : docker_endpoints_add(list, &p, err);
}

static int add_others(struct docker_endpoints *list, const char *mode, struct json_object *all, struct error **err)
{
	json_object_object_foreach(all, key, o)
	{
		AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
		const char *name = streq(key, "default") ? "bridge" : key;
		int r;
		if (streq(name, mode))
			continue;
		if (has_no_endpoints(mode) || has_no_endpoints(name))
			return error_set(err, EINVAL,
			    "conflicting options: network \"%.80s\" beside the network mode \"%.80s\"", key, mode);
		if ((r = docker_endpoint_parse(name, o, &p, err)) < 0 || (r = docker_endpoints_add(list, &p, err)) < 0)
			return r;
	}
	return 0;
}

/* Links and MacAddress of the container itself are those of its first network. */
static int add_older(struct docker_endpoints *list, struct json_object *body, struct json_object *host,
    struct error **err)
{
	AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
	struct docker_endpoint *first = list->count ? &list->items[0] : NULL;
	int r = host ? add_words(host, "Links", &p.links, add_link, err) : 0;
	if (r < 0 || (r = get_mac(body, &p, err)) < 0)
		return r;
	if (!first && (p.has_mac || p.links.count))
		return error_set(err, EINVAL, "conflicting options: %s and the network mode",
		    p.has_mac ? "mac-address" : "links");
	if (p.has_mac && first->has_mac && memcmp(p.mac, first->mac, sizeof p.mac) != 0)
		return error_set(err, EINVAL,
		    "conflicting MAC addresses of the container and of its network; leave one out");
	if (p.has_mac) {
		memcpy(first->mac, p.mac, sizeof p.mac);
		first->has_mac = 1;
	}
	for (size_t i = 0; r == 0 && i < p.links.count; i++)
		r = add_link(&first->links, p.links.items[i], err);
	return r;
}

int docker_endpoints_of_body(struct docker_endpoints *list, struct json_object *body, struct error **err)
{
	struct json_object *networking = NULL, *all = NULL, *host = NULL;
	const char *mode = NULL;
	int r = json_get_object(body, "HostConfig", &host, err);
	if ((r < 0 && r != -ENOENT) || (host && (r = get_word(host, "NetworkMode", &mode, err)) < 0))
		return r;
	r = json_get_object(body, "NetworkingConfig", &networking, err);
	if (r == 0)
		r = json_get_object(networking, "EndpointsConfig", &all, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!mode || streq(mode, "default"))
		mode = "bridge";
	if (all && json_object_object_length(all) > DOCKER_ENDPOINTS_MAX)
		return error_set(err, E2BIG, "a container can have %d networks at most", DOCKER_ENDPOINTS_MAX);
	r = has_no_endpoints(mode) ? 0 : add_first(list, mode, all, err);
	if (r == 0 && all)
		r = add_others(list, mode, all, err);
	return r < 0 ? r : add_older(list, body, host, err);
}

/* ---- records ---- */

static void add_address(struct json_object *o, const char *key, uint32_t address)
{
	char text[INET_ADDRSTRLEN];
	const struct in_addr a = { .s_addr = htonl(address) };
	if (address && inet_ntop(AF_INET, &a, text, sizeof text))
		json_add_string(o, key, text);
}

static void add_address6(struct json_object *o, const char *key, const struct in6_addr *address)
{
	char text[INET6_ADDRSTRLEN];
	if (!IN6_IS_ADDR_UNSPECIFIED(address) && inet_ntop(AF_INET6, address, text, sizeof text))
		json_add_string(o, key, text);
}

struct json_object *docker_endpoints_store(const struct docker_endpoints *list)
{
	struct json_object *array = json_object_new_array();
	for (size_t i = 0; i < list->count; i++) {
		const struct docker_endpoint *p = &list->items[i];
		struct json_object *o = json_object_new_object();
		char mac[DOCKER_MAC_TEXT];
		docker_mac_format(p->mac, mac);
		json_add_string(o, "network", p->network);
		json_add_string(o, "name", p->name);
		if (p->aliases.count)
			json_add_strv(o, "aliases", &p->aliases);
		if (p->links.count)
			json_add_strv(o, "links", &p->links);
		json_add_string(o, "mac", p->has_mac ? mac : NULL);
		json_add_i64(o, "priority", p->priority);
		add_address(o, "wish", p->wish);
		add_address6(o, "wish6", &p->wish6);
		if (p->run) {
			json_add_i64(o, "run", p->run);
			add_address(o, "address", p->address);
			add_address6(o, "address6", &p->address6);
			json_add_i64(o, "interface", p->interface);
			json_add_string(o, "id", p->id);
		}
		json_object_array_add(array, o);
	}
	return array;
}

static int load_address(struct json_object *o, const char *key, uint32_t *ret)
{
	const char *text = NULL;
	if (get_word(o, key, &text, NULL) < 0)
		return -EBADMSG;
	return text ? parse_address(text, ret) : 0;
}

static int load_address6(struct json_object *o, const char *key, struct in6_addr *ret)
{
	const char *text = NULL;
	if (get_word(o, key, &text, NULL) < 0)
		return -EBADMSG;
	return text ? parse_address6(text, ret) : 0;
}

static int load_run(struct json_object *o, struct docker_endpoint *p)
{
	uint64_t interface = 0;
	const char *id = NULL;
	int r = json_get_i64(o, "run", &p->run, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : -EBADMSG;
	if (p->run < 0 || load_address(o, "address", &p->address) < 0 ||
	    load_address6(o, "address6", &p->address6) < 0 || get_word(o, "id", &id, NULL) < 0 ||
	    json_get_u64(o, "interface", &interface, NULL) < 0 || interface > INTERFACES_MAX ||
	    (id && !docker_is_id(id)))
		return -EBADMSG;
	p->interface = (unsigned)interface;
	p->id = id ? xstrdup(id) : NULL;
	return 0;
}

static int load_one(struct json_object *o, struct docker_endpoint *p)
{
	const char *network = NULL, *name = NULL, *mac = NULL;
	if (!json_object_is_type(o, json_type_object) || get_word(o, "network", &network, NULL) < 0 ||
	    get_word(o, "name", &name, NULL) < 0 || get_word(o, "mac", &mac, NULL) < 0 || !network || !name ||
	    !docker_is_id(network) || strlen(name) > NETWORK_MAX || load_address(o, "wish", &p->wish) < 0 ||
	    load_address6(o, "wish6", &p->wish6) < 0 || (mac && docker_mac_parse(mac, p->mac) < 0) ||
	    add_words(o, "aliases", &p->aliases, add_alias, NULL) < 0 ||
	    add_words(o, "links", &p->links, add_link, NULL) < 0)
		return -EBADMSG;
	p->has_mac = mac != NULL;
	p->network = xstrdup(network);
	p->name = xstrdup(name);
	json_get_i64(o, "priority", &p->priority, NULL);
	return load_run(o, p);
}

int docker_endpoints_load(struct docker_endpoints *list, struct json_object *array, struct error **err)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
		if (load_one(json_object_array_get_idx(array, i), &p) < 0 || docker_endpoints_add(list, &p, NULL) < 0)
			return error_set(err, EBADMSG, "its list of networks cannot be read");
	}
	return 0;
}
