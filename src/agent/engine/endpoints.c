/* SPDX-License-Identifier: Apache-2.0
 * See endpoints.h. The list is a part of the container's record. What a run adds to it (address,
 * interface, id) carries the time at which the run began: so an engine that finds the container
 * running can tell it from an earlier run's. */
#include "agent/engine/endpoints.h"

#include <errno.h>
#include <stdio.h>

#include "agent/engine/events.h"
#include "agent/engine/lease.h"
#include "agent/engine/network_join.h"
#include "base/alloc.h"
#include "docker/name.h"

enum { SHORT_ID = 12 };

static struct network *network_of(const struct container *c, const struct docker_endpoint *p)
{
	struct network *n = network_by_id(c->engine, p->network);
	return n ? n : network_find(c->engine, p->name, NULL);
}

void endpoints_save(struct container *c)
{
	json_object_object_del(c->record.data, "HolmNetworks");
	json_add(c->record.data, "HolmNetworks", docker_endpoints_store(&c->record.endpoints));
}

/* ---- the choice ---- */

static int check_wish6(const struct network *n, const struct docker_endpoint *p, struct error **err)
{
	char text[ADDRESS6_TEXT_MAX];
	address6_format(&p->wish6, text);
	if (!text[0])
		return 0;
	if (n->is_default)
		return error_set(err, EINVAL, "user specified IP address is supported on user defined networks only");
	if (!n->has_own_subnet6)
		return error_set(err, EINVAL,
		    "user specified IP address is supported only when connecting to networks with user configured "
		    "subnets");
	if (n->bridge.six.prefix && !subnet6_contains(&n->bridge.six, &p->wish6))
		return error_set(err, EINVAL,
		    "invalid endpoint settings: no configured subnet or ip-range of network \"%s\" contains %s",
		    n->name, text);
	return 0;
}

int endpoint_settle(struct engine *e, struct docker_endpoint *p, struct error **err)
{
	const struct network *n = network_find(e, p->network, err);
	char text[ADDRESS_TEXT_MAX];
	if (!n)
		return err && *err ? -(*err)->code : -ENOENT;
	address_format(p->wish, text);
	if (n->kind != NETWORK_BRIDGE)
		return error_set(err, EINVAL,
		    "conflicting options: a container of network \"%s\" cannot have another network", n->name);
	if (n->is_default && p->aliases.count)
		return error_set(err, EINVAL, "network-scoped aliases are only supported for user-defined networks");
	if (p->wish && n->is_default)
		return error_set(err, EINVAL, "user specified IP address is supported on user defined networks only");
	if (p->wish && !n->has_own_subnet)
		return error_set(err, EINVAL,
		    "user specified IP address is supported only when connecting to networks with user configured "
		    "subnets");
	if (p->wish && !subnet_contains(&n->bridge.subnet, p->wish))
		return error_set(err, EINVAL,
		    "invalid endpoint settings: no configured subnet or ip-range of network \"%s\" contains %s",
		    n->name, text);
	int r = check_wish6(n, p, err);
	if (r < 0)
		return r;
	free(p->network);
	free(p->name);
	p->network = xstrdup(n->id);
	p->name = xstrdup(n->name);
	return 0;
}

/* A network by two of its names is one; what the first says counts, unless it says nothing. */
static void drop_doubles(struct docker_endpoints *list)
{
	for (size_t i = 0; i < list->count; i++)
		for (size_t k = list->count - 1; k > i; k--) {
			struct docker_endpoint *a = &list->items[i], *b = &list->items[k], swap;
			if (!streq(a->network, b->network))
				continue;
			if (!a->aliases.count && !a->wish && !address6_is_set(&a->wish6) && !a->has_mac &&
			    !a->links.count) {
				swap = *a;
				*a = *b;
				*b = swap;
			}
			docker_endpoints_remove(list, k);
		}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct docker_endpoint *)a)->name, ((const struct docker_endpoint *)b)->name);
}

/* On a network of the user's the name is looked for when somebody asks for it. */
static int check_links(struct engine *e, const struct docker_endpoint *p, struct error **err)
{
	if (!streq(p->name, "bridge"))
		return 0;
	for (size_t i = 0; i < p->links.count; i++) {
		AUTOFREE char *name = xstrndup(p->links.items[i], strcspn(p->links.items[i], ":"));
		if (!container_find(e, name, NULL))
			return error_set(err, EINVAL, "could not get container for %s: No such container: %s", name,
			    name);
	}
	return 0;
}

/* A network that there is not: the start looks for its name again. */
static int settle_later(struct docker_endpoint *p, struct error **err)
{
	error_clear(err);
	free(p->name);
	p->name = p->network;
	p->network = docker_new_id();
	return 0;
}

int endpoints_choose(struct engine *e, struct json_object *body, struct record *r, struct error **err)
{
	struct docker_endpoints *list = &r->endpoints;
	int result = docker_endpoints_of_body(list, body, err);
	for (size_t i = 0; result == 0 && i < list->count; i++) {
		result = endpoint_settle(e, &list->items[i], err);
		if (result == -ENOENT)
			result = settle_later(&list->items[i], err);
		if (result == 0)
			result = check_links(e, &list->items[i], err);
	}
	if (result < 0)
		return result;
	drop_doubles(list);
	if (list->count > 2)
		qsort(list->items + 1, list->count - 1, sizeof *list->items, compare_names);
	json_object_object_del(body, "HolmNetworks");
	json_object_object_del(body, "NetworkingConfig");
	json_add(body, "HolmNetworks", docker_endpoints_store(list));
	return 0;
}

/* ---- the start ---- */

int endpoints_restore(struct container *c, struct error **err)
{
	AUTO_DOCKER_ENDPOINT struct docker_endpoint p = { 0 };
	int r = docker_endpoint_parse(container_network_mode(c), NULL, &p, err);
	if (r == 0)
		r = endpoint_settle(c->engine, &p, err);
	if (r == 0)
		r = docker_endpoints_add(&c->record.endpoints, &p, err);
	if (r == 0)
		endpoints_save(c);
	return r;
}

struct attachment endpoint_attachment(const struct docker_endpoint *p, const struct network *n)
{
	struct attachment a = { .bridge = &n->bridge,
		.address = p->address,
		.address6 = p->address6,
		.interface = p->interface };
	if (p->has_mac)
		memcpy(a.mac, p->mac, sizeof a.mac);
	else
		network_mac(p->address, a.mac);
	return a;
}

static unsigned free_interface(const struct container *c)
{
	const struct docker_endpoints *list = &c->record.endpoints;
	for (unsigned wish = 0;; wish++) {
		int taken = 0;
		for (size_t i = 0; i < list->count; i++)
			taken |= list->items[i].address && list->items[i].interface == wish;
		if (!taken)
			return wish;
	}
}

int endpoint_join(struct container *c, struct docker_endpoint *p, struct attachment *ret, struct error **err)
{
	struct network *n = network_of(c, p);
	uint32_t address = 0;
	if (!n || n->kind != NETWORK_BRIDGE || !n->pool)
		return error_set(err, ESRCH, "network %s not found", p->name); /* ENOENT is of the program */
	if (!streq(n->id, p->network)) {                                       /* made again under its name */
		free(p->network);
		p->network = xstrdup(n->id);
	}
	int r = network_up(c->engine, n, err);
	if (p->wish)
		lease_evict(c->engine, n, p->wish);
	if (r < 0 || (r = network_take(n, p->wish, &address, err)) < 0)
		return r;
	p->interface = free_interface(c);
	lease_add(c, n, address, p->interface);
	if ((r = network_take6(c->engine, n, address, &p->wish6, &p->address6, err)) < 0) {
		lease_drop(c, address);
		return r;
	}
	p->address = address;
	p->run = c->run;
	free(p->id);
	p->id = docker_new_id();
	*ret = endpoint_attachment(p, n);
	return 0;
}

/* The endpoint with the default route of a family: the highest priority of those that lead out. */
static struct docker_endpoint *find_primary(struct container *c, int six)
{
	struct docker_endpoints *list = &c->record.endpoints;
	struct docker_endpoint *best = NULL;
	int best_leads = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct docker_endpoint *p = &list->items[i];
		const struct network *n = p->address ? network_of(c, p) : NULL;
		int leads = n && !n->bridge.internal;
		if (!n || (six && !address6_is_set(&p->address6)) ||
		    (best && (leads < best_leads || (leads == best_leads && p->priority <= best->priority))))
			continue;
		best = p;
		best_leads = leads;
	}
	return best;
}

struct docker_endpoint *endpoints_primary(struct container *c)
{
	struct docker_endpoint *best = find_primary(c, 0);
	c->address = best ? best->address : 0;
	return best;
}

struct docker_endpoint *endpoints_primary6(struct container *c)
{
	return find_primary(c, 1);
}

int endpoints_join(struct container *c, struct attachment *list, size_t *ret_count, struct error **err)
{
	struct docker_endpoints *all = &c->record.endpoints;
	int r = 0, own = 0;
	*ret_count = 0;
	for (size_t i = 0; r == 0 && i < all->count; i++) {
		r = endpoint_join(c, &all->items[i], &list[*ret_count], err);
		*ret_count += r == 0;
		own |= r == 0 && !streq(all->items[i].name, "bridge");
	}
	for (size_t i = 0; r < 0 && i < all->count; i++)
		endpoint_leave(c, &all->items[i]);
	if (r < 0)
		return r;
	const struct docker_endpoint *primary = endpoints_primary(c), *primary6 = endpoints_primary6(c);
	for (size_t i = 0; i < *ret_count; i++) {
		list[i].is_default = primary == &all->items[i];
		list[i].is_default6 = primary6 == &all->items[i];
	}
	if (own) /* the monitor's note has the address on the default bridge alone */
		endpoints_save(c);
	return 0;
}

void endpoint_leave(struct container *c, struct docker_endpoint *p)
{
	if (p->address)
		lease_drop(c, p->address);
	p->address = 0;
	p->address6 = (struct in6_addr)IN6ADDR_ANY_INIT;
	p->run = 0;
	free(TAKE_PTR(p->id));
}

void endpoints_tell(struct container *c)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct network *n = network_of(c, &c->record.endpoints.items[i]);
		if (n && c->record.endpoints.items[i].address)
			network_event(c->engine, n, "connect", c);
	}
}

void endpoints_leave(struct container *c)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		struct docker_endpoint *p = &c->record.endpoints.items[i];
		const struct network *n = p->address ? network_of(c, p) : NULL;
		endpoint_leave(c, p);
		if (n)
			network_event(c->engine, n, "disconnect", c);
	}
}

void endpoints_forget(struct container *c)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++)
		endpoint_leave(c, &c->record.endpoints.items[i]);
}

void endpoints_adopt(struct container *c, uint32_t default_address)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		struct docker_endpoint *p = &c->record.endpoints.items[i];
		struct network *n = network_of(c, p);
		if (p->run != c->run) {
			p->address = n && n->is_default ? default_address : 0;
			p->run = p->address ? c->run : 0;
			p->address6 = (struct in6_addr)IN6ADDR_ANY_INIT;
			p->interface = 0;
		}
		/* One that shares this network may have claimed it already. */
		int r = n && n->pool && p->address ? address_pool_claim(n->pool, p->address) : -ENOENT;
		if (r < 0 && r != -EADDRINUSE) {
			p->address = 0;
			continue;
		}
		lease_add(c, n, p->address, p->interface);
		if (!p->id)
			p->id = docker_new_id();
	}
	endpoints_primary(c);
}

/* ---- for others ---- */

int endpoints_have_names(const struct container *c)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct network *n = network_of(c, &c->record.endpoints.items[i]);
		if (n && !n->is_default && c->record.endpoints.items[i].address)
			return 1;
	}
	return 0;
}

int endpoints_lead_out(const struct container *c)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct network *n = network_of(c, &c->record.endpoints.items[i]);
		if (n && !n->bridge.internal && c->record.endpoints.items[i].address)
			return 1;
	}
	return 0;
}

void endpoint_names(const struct container *c, const struct docker_endpoint *p, struct strv *to)
{
	AUTOFREE char *short_id = xstrndup(c->record.id, SHORT_ID);
	strv_add(to, c->record.name);
	for (size_t i = 0; i < p->aliases.count; i++)
		if (!strv_contains(to, p->aliases.items[i]))
			strv_add(to, p->aliases.items[i]);
	if (!strv_contains(to, short_id))
		strv_add(to, short_id);
}

static void add_links(const struct container *c, const struct docker_endpoint *p, const struct network *n,
    struct strv *lines)
{
	for (size_t i = 0; i < p->links.count; i++) {
		const char *link = p->links.items[i], *alias = strchr(link, ':') + 1;
		AUTOFREE char *name = xstrndup(link, strcspn(link, ":"));
		struct container *other = container_find(c->engine, name, NULL);
		const struct docker_endpoint *at = other ? network_endpoint(n, other) : NULL;
		char address[ADDRESS_TEXT_MAX];
		if (!at || !at->address)
			continue;
		AUTOFREE char *hostname = container_hostname(other);
		address_format(at->address, address);
		strv_addf(lines, "%s\t%s %s%s%s", address, alias, hostname, streq(alias, other->record.name) ? "" : " ",
		    streq(alias, other->record.name) ? "" : other->record.name);
	}
}

void endpoints_hosts(const struct container *c, const char *hostname, struct strv *lines)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct docker_endpoint *p = &c->record.endpoints.items[i];
		const struct network *n = p->address ? network_by_id(c->engine, p->network) : NULL;
		char address[ADDRESS_TEXT_MAX];
		address_format(p->address, address);
		if (n && p->address != c->address)
			strv_addf(lines, "%s\t%s", address, hostname);
		if (n && address6_is_set(&p->address6)) {
			char address6[ADDRESS6_TEXT_MAX];
			address6_format(&p->address6, address6);
			strv_addf(lines, "%s\t%s", address6, hostname);
		}
		if (n && n->is_default) /* elsewhere the resolver knows them */
			add_links(c, p, n, lines);
	}
}

static struct json_object *words_or_null(const struct strv *words)
{
	struct json_object *array = words->count ? json_object_new_array() : NULL;
	for (size_t i = 0; i < words->count; i++)
		json_object_array_add(array, json_object_new_string(words->items[i]));
	return array;
}

static void add_address(struct json_object *o, const char *key, uint32_t address)
{
	char text[ADDRESS_TEXT_MAX] = "";
	if (address)
		address_format(address, text);
	json_add_string(o, key, text);
}

static void add_address6(struct json_object *o, const char *key, const struct in6_addr *address)
{
	char text[ADDRESS6_TEXT_MAX];
	address6_format(address, text);
	json_add_string(o, key, text);
}

static void add_run(struct json_object *o, const struct docker_endpoint *p, const struct network *n)
{
	char mac[DOCKER_MAC_TEXT] = "";
	if (p->address) {
		struct attachment a = endpoint_attachment(p, n);
		docker_mac_format(a.mac, mac);
	} else if (p->has_mac) {
		docker_mac_format(p->mac, mac);
	}
	json_add_string(o, "MacAddress", mac);
	json_add(o, "DriverOpts", NULL);
	json_add_i64(o, "GwPriority", p->priority);
	json_add_string(o, "NetworkID", n ? n->id : p->network);
	json_add_string(o, "EndpointID", p->address && p->id ? p->id : "");
	add_address(o, "Gateway", p->address && !n->bridge.internal ? n->bridge.gateway : 0);
	add_address(o, "IPAddress", p->address);
	json_add_i64(o, "IPPrefixLen", p->address ? n->bridge.subnet.prefix : 0);
	int six = p->address && address6_is_set(&p->address6);
	add_address6(o, "IPv6Gateway", six && !n->bridge.internal ? &n->bridge.gateway6 : &in6addr_any);
	add_address6(o, "GlobalIPv6Address", &p->address6);
	json_add_i64(o, "GlobalIPv6PrefixLen", six ? n->bridge.six.prefix : 0);
}

static struct json_object *describe(const struct container *c, const struct docker_endpoint *p)
{
	const struct network *n = network_of(c, p);
	struct json_object *o = json_object_new_object(), *ipam = NULL;
	AUTO_STRV struct strv names = { 0 };
	if (p->wish || address6_is_set(&p->wish6))
		ipam = json_object_new_object();
	if (p->wish)
		add_address(ipam, "IPv4Address", p->wish);
	if (address6_is_set(&p->wish6))
		add_address6(ipam, "IPv6Address", &p->wish6);
	json_object_object_add(o, "IPAMConfig", ipam);
	json_object_object_add(o, "Links", words_or_null(&p->links));
	json_object_object_add(o, "Aliases", words_or_null(&p->aliases));
	add_run(o, p, n);
	if (n && !n->is_default)
		endpoint_names(c, p, &names);
	json_object_object_add(o, "DNSNames", words_or_null(&names));
	return o;
}

/* Without an endpoint of its own: none and host. */
static struct json_object *describe_other(const struct container *c)
{
	struct docker_endpoint p = { 0 };
	struct network *n = network_find(c->engine, container_network_mode(c), NULL);
	p.network = n ? n->id : NULL;
	p.name = n ? n->name : NULL;
	return n ? describe(c, &p) : NULL;
}

struct json_object *endpoints_describe(const struct container *c)
{
	struct json_object *all = json_object_new_object();
	const char *mode = container_network_mode(c);
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct docker_endpoint *p = &c->record.endpoints.items[i];
		json_object_object_add(all, p->name, describe(c, p));
	}
	struct json_object *other = streq(mode, "none") || streq(mode, "host") ? describe_other(c) : NULL;
	if (other)
		json_object_object_add(all, mode, other);
	return all;
}

int endpoints_match(const struct container *c, const char *wish)
{
	const struct network *n = network_find(c->engine, wish, NULL);
	if (!n)
		return 0;
	return streq(container_network_mode(c), n->name) || network_endpoint(n, (struct container *)c);
}
