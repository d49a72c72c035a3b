/* SPDX-License-Identifier: Apache-2.0
 * The table of networks. See networks.h. */
#include "agent/engine/networks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/name.h"

enum { BRIDGE_DIGITS = 12, PLACES6_MAX = 65536 };

/* ---- finding ---- */

struct network *network_by_id(const struct engine *e, const char *id)
{
	struct network *n = e->networks;
	while (n && !streq(n->id, id))
		n = n->next;
	return n;
}

static struct network *by_name(const struct engine *e, const char *name)
{
	struct network *n = e->networks;
	while (n && !streq(n->name, name))
		n = n->next;
	return n;
}

struct network *network_default(const struct engine *e)
{
	return by_name(e, "bridge");
}

struct network *network_find(const struct engine *e, const char *name, struct error **err)
{
	struct network *found = network_by_id(e, name);
	int count = 0;
	if (!found)
		found = by_name(e, name);
	if (found)
		return found;
	for (struct network *n = e->networks; n && *name; n = n->next)
		if (startswith(n->id, name)) {
			found = n;
			count++;
		}
	if (count > 1)
		error_set(err, EINVAL, "network %.64s is ambiguous (%d matches found on ID prefix)", name, count);
	else if (!count)
		error_set(err, ENOENT, "network %.256s not found", name);
	return count == 1 ? found : NULL;
}

struct docker_endpoint *network_endpoint(const struct network *n, struct container *c)
{
	struct docker_endpoints *list = &c->record.endpoints;
	for (size_t i = 0; i < list->count; i++)
		if (streq(list->items[i].network, n->id))
			return &list->items[i];
	return NULL;
}

int network_is_used(const struct engine *e, const struct network *n)
{
	for (struct container *c = e->containers; c; c = c->next) {
		const struct docker_endpoint *p = network_endpoint(n, c);
		if (p && p->address)
			return 1;
	}
	return 0;
}

void network_event(struct engine *e, const struct network *n, const char *action, const struct container *c)
{
	static const char
	    *const types[] = { [NETWORK_BRIDGE] = "bridge", [NETWORK_NONE] = "null", [NETWORK_HOST] = "host" };
	struct json_object *o = json_object_new_object();
	if (c)
		json_add_string(o, "container", c->record.id);
	json_add_string(o, "name", n->name);
	json_add_string(o, "type", types[n->kind]);
	event_emit(e, "network", action, n->id, o);
}

/* ---- files ---- */

static int open_records(int flags, struct error **err)
{
	AUTO_FD int machine = open(ENGINE_MACHINE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int made = machine < 0 ? -errno : rootfs_mkdir(machine, ENGINE_NETWORKS, 0700, err);
	int fd = made < 0 ? made : openat(made, ".", flags | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 && made >= 0 ? -errno : fd;
}

static int save(const struct network *n, struct error **err)
{
	AUTO_FD int records = open_records(O_RDONLY, err);
	AUTOFREE char *text = network_store(n);
	if (records < 0)
		return records;
	int r = atomic_file_write_at(records, n->id, 0600, text, strlen(text), 1, err);
	return r < 0 ? error_prefix(err, r, "the record of network \"%s\"", n->name) : 0;
}

static int read_record(int records, const char *id, struct network *ret, struct error **err)
{
	struct stat st;
	AUTOFREE char *text = NULL;
	size_t size = 0;
	AUTO_FD int fd = openat(records, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "cannot open it");
	int r = S_ISREG(st.st_mode) ? fd_read_all(fd, NETWORK_FILE_MAX, &text, &size) : -EINVAL;
	if (r < 0)
		return error_set_errno(err, r, "cannot read it");
	if ((r = network_load(text, size, ret, err)) < 0)
		return r;
	if (streq(ret->id, id))
		return 0;
	network_done(ret);
	return error_set(err, EBADMSG, "it is of another network");
}

/* ---- adding ---- */

/* By name. */
static struct network *insert(struct engine *e, struct network *from)
{
	struct network *n = xnew(struct network), **at = &e->networks;
	*n = *from;
	*from = (struct network){ 0 };
	while (*at && strcmp((*at)->name, n->name) < 0)
		at = &(*at)->next;
	n->next = *at;
	*at = n;
	return n;
}

static int overlaps_another(const struct engine *e, const struct subnet *s)
{
	for (const struct network *n = e->networks; n; n = n->next)
		if (n->bridge.subnet.prefix && subnet_overlaps(&n->bridge.subnet, s))
			return 1;
	return 0;
}

/* The machine's routes and the subnets of all networks; owned. */
static int read_taken(const struct engine *e, struct subnet **ret, size_t *ret_count)
{
	int r = subnet_read_routes(NULL, ret, ret_count);
	if (r < 0)
		return r;
	for (const struct network *n = e->networks; n; n = n->next) {
		if (!n->bridge.subnet.prefix)
			continue;
		*ret = xrealloc(*ret, *ret_count + 1, sizeof **ret);
		(*ret)[(*ret_count)++] = n->bridge.subnet;
	}
	return 0;
}

static int choose_subnet(const struct engine *e, struct network *n, struct error **err)
{
	AUTOFREE struct subnet *taken = NULL;
	struct subnet chosen;
	size_t count = 0;
	int r = read_taken(e, &taken, &count);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the machine's routes");
	const struct subnet *wish = n->bridge.subnet.prefix ? &n->bridge.subnet : NULL;
	if (subnet_choose(wish, taken, count, &chosen) < 0 || (wish && chosen.base != wish->base))
		return wish ?
			   error_set(err, EPERM,
			       "invalid pool request: Pool overlaps with other one on this address space") :
			   error_set(err, EPERM,
			       "could not find an available, non-overlapping IPv4 address pool among the defaults to "
			       "assign to the network");
	n->bridge.subnet = chosen;
	return 0;
}

static int overlaps_another6(const struct engine *e, const struct subnet6 *s)
{
	for (const struct network *n = e->networks; n; n = n->next)
		if (n->bridge.six.prefix && subnet6_overlaps(&n->bridge.six, s))
			return 1;
	return 0;
}

static int choose_subnet6(const struct engine *e, struct network *n, struct error **err)
{
	if (!n->wants_ipv6)
		return 0;
	while (!n->bridge.six.prefix) {
		subnet6_make(&n->bridge.six);
		if (overlaps_another6(e, &n->bridge.six))
			n->bridge.six.prefix = 0;
	}
	return overlaps_another6(e, &n->bridge.six) ?
		   error_set(err, EPERM, "invalid pool request: Pool overlaps with other one on this address space") :
		   0;
}

/* A network with no address but its gateway's and the auxiliary ones taken. */
static void make_pool(struct network *n)
{
	struct json_object *ipam = NULL, *list = NULL, *all = NULL;
	n->pool = address_pool_new(&n->bridge.subnet);
	if (!n->range6.prefix)
		n->range6 = n->bridge.six;
	if (n->bridge.six.prefix && !address6_is_set(&n->bridge.gateway6))
		(void)subnet6_at(&n->bridge.six, 1, &n->bridge.gateway6);
	if (!n->range.prefix)
		n->range = n->bridge.subnet;
	json_get_object(n->data, "IPAM", &ipam, NULL);
	if (ipam)
		json_get_array(ipam, "Config", &list, NULL);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *config = json_object_array_get_idx(list, i);
		if (!json_object_is_type(config, json_type_object) ||
		    json_get_object(config, "AuxiliaryAddresses", &all, NULL) < 0)
			continue;
		json_object_object_foreach(all, key, value)
		{
			uint32_t address = 0;
			(void)key;
			if (json_object_is_type(value, json_type_string) &&
			    address_parse(json_object_get_string(value), &address) == 0)
				address_pool_claim(n->pool, address);
		}
	}
	if (!n->bridge.gateway)
		address_pool_take_in(n->pool, &n->range, &n->bridge.gateway);
	else
		address_pool_claim(n->pool, n->bridge.gateway);
}

static int has_bridge_name(const struct engine *e, const char *name)
{
	for (const struct network *n = e->networks; n; n = n->next)
		if (streq(n->bridge.name, name))
			return 1;
	return if_nametoindex(name) != 0;
}

static int complete(struct engine *e, struct network *n, struct error **err)
{
	int r = choose_subnet(e, n, err);
	if (r < 0 || (r = choose_subnet6(e, n, err)) < 0)
		return r;
	if (n->bridge.name[0] && has_bridge_name(e, n->bridge.name))
		return error_set(err, EPERM, "bridge name \"%s\": the machine has an interface of that name",
		    n->bridge.name);
	if (!n->bridge.name[0])
		snprintf(n->bridge.name, sizeof n->bridge.name, "br-%.*s", BRIDGE_DIGITS, n->id);
	return 0;
}

int network_add(struct engine *e, struct network *n, struct network **ret, struct error **err)
{
	size_t count = 0;
	int r = 0;
	for (const struct network *other = e->networks; other; other = other->next)
		count++;
	if (by_name(e, n->name))
		return error_set(err, EEXIST, "network with name %s already exists", n->name);
	if (n->kind != NETWORK_BRIDGE)
		return error_set(err, EPERM, "only one instance of \"%s\" network is allowed",
		    n->kind == NETWORK_HOST ? "host" : "null");
	if (count >= NETWORKS_MAX)
		return error_set(err, EPERM, "the machine has %d networks, which is the most", NETWORKS_MAX);
	n->id = docker_new_id();
	n->created = container_now();
	if ((r = complete(e, n, err)) < 0 || (r = save(n, err)) < 0)
		return r;
	make_pool(n);
	*ret = insert(e, n);
	return 0;
}

static void free_network(struct engine *e, struct network *n)
{
	struct network **at = &e->networks;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	network_done(n);
	free(n);
}

void networks_remove(struct engine *e, struct network *const *list, size_t count)
{
	AUTOFREE const struct bridge **bridges = xcalloc(count + 1, sizeof(void *));
	size_t bridge_count = 0;
	AUTO_FD int records = open_records(O_RDONLY, NULL);
	for (size_t i = 0; i < count; i++) {
		if (records >= 0)
			unlinkat(records, list[i]->id, 0);
		if (e->has_bridge && if_nametoindex(list[i]->bridge.name))
			bridges[bridge_count++] = &list[i]->bridge;
	}
	if (bridge_count)
		bridges_remove(bridges, bridge_count);
	for (size_t i = 0; i < count; i++) {
		network_event(e, list[i], "destroy", NULL);
		free_network(e, list[i]);
	}
}

void network_remove(struct engine *e, struct network *n)
{
	networks_remove(e, &n, 1);
}

/* ---- use ---- */

int network_up(struct engine *e, struct network *n, struct error **err)
{
	if (n->is_up || !e->has_bridge)
		return 0;
	if (n->bridge.six.prefix && !bridge_has_ipv6())
		n->bridge.six.prefix = 0; /* `create` has warned of it */
	int r = bridge_start(&n->bridge, err);
	n->is_up = r == 0;
	return r;
}

int network_take(struct network *n, uint32_t wish, uint32_t *ret, struct error **err)
{
	char text[ADDRESS_TEXT_MAX];
	address_format(wish, text);
	int r = wish ? address_pool_claim(n->pool, wish) : address_pool_take_in(n->pool, &n->range, ret);
	if (r == 0 && wish)
		*ret = wish;
	if (r == -EADDRINUSE)
		return error_set(err, EPERM, "Address already in use: %s", text);
	if (r == -ERANGE)
		return error_set(err, EINVAL, "invalid address %s: it does not belong to the subnet of network \"%s\"",
		    text, n->name);
	return r < 0 ? error_set(err, ENOSPC, "network \"%s\" has no free address", n->name) : 0;
}

static int is_auxiliary6(const struct network *n, const struct in6_addr *address)
{
	struct json_object *ipam = NULL, *list = NULL, *all = NULL;
	struct in6_addr other;
	if (json_get_object(n->data, "IPAM", &ipam, NULL) < 0 || json_get_array(ipam, "Config", &list, NULL) < 0)
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *config = json_object_array_get_idx(list, i);
		if (!json_object_is_type(config, json_type_object) ||
		    json_get_object(config, "AuxiliaryAddresses", &all, NULL) < 0)
			continue;
		json_object_object_foreach(all, key, value)
		{
			(void)key;
			if (json_object_is_type(value, json_type_string) &&
			    address6_parse(json_object_get_string(value), &other) == 0 &&
			    address6_equal(&other, address))
				return 1;
		}
	}
	return 0;
}

static int is_taken6(const struct engine *e, const struct network *n, const struct in6_addr *address)
{
	if (address6_equal(address, &n->bridge.gateway6) || address6_equal(address, &n->bridge.six.base) ||
	    is_auxiliary6(n, address))
		return 1;
	for (struct container *c = e->containers; c; c = c->next) {
		const struct docker_endpoint *p = network_endpoint(n, c);
		if (p && p->address && address6_equal(&p->address6, address))
			return 1;
	}
	return 0;
}

/* The place of the IPv4 address; or, where a fixed address has it, the first one that is free. */
static int take_free6(const struct engine *e, const struct network *n, uint32_t address, struct in6_addr *ret)
{
	if (subnet6_at(&n->range6, address - n->bridge.subnet.base, ret) == 0 && !is_taken6(e, n, ret))
		return 0;
	for (uint64_t place = 0; place < PLACES6_MAX; place++) {
		if (subnet6_at(&n->range6, place, ret) < 0)
			return -ENOSPC;
		if (!is_taken6(e, n, ret))
			return 0;
	}
	return -ENOSPC;
}

int network_take6(const struct engine *e, const struct network *n, uint32_t address, const struct in6_addr *wish,
    struct in6_addr *ret, struct error **err)
{
	char text[ADDRESS6_TEXT_MAX];
	*ret = (struct in6_addr)IN6ADDR_ANY_INIT;
	if (!n->bridge.six.prefix)
		return 0;
	if (!address6_is_set(wish))
		return take_free6(e, n, address, ret) == 0 ?
			   0 :
			   error_set(err, ENOSPC, "network \"%s\" has no free IPv6 address", n->name);
	address6_format(wish, text);
	if (!subnet6_contains(&n->bridge.six, wish))
		return error_set(err, EINVAL, "invalid address %s: it does not belong to the subnet of network \"%s\"",
		    text, n->name);
	if (is_taken6(e, n, wish))
		return error_set(err, EPERM, "Address already in use: %s", text);
	*ret = *wish;
	return 0;
}

/* ---- the start ---- */

static void load_one(struct engine *e, int records, const char *id)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_NETWORK struct network n = { 0 };
	int r = read_record(records, id, &n, &err);
	if (r == 0 && (n.kind != NETWORK_BRIDGE || !n.bridge.subnet.prefix || !n.bridge.name[0]))
		r = error_set(&err, EBADMSG, "it is no network of a user");
	if (r == 0 && (by_name(e, n.name) || overlaps_another(e, &n.bridge.subnet) ||
			  (n.bridge.six.prefix && overlaps_another6(e, &n.bridge.six))))
		r = error_set(&err, EBADMSG, "another network has its name or its subnet");
	if (r < 0) {
		log_warning("the record of network %.12s is left out: %s", id, error_text(err, r));
		return;
	}
	make_pool(&n);
	insert(e, &n);
}

/* One of the three. Its id is the same in every machine. */
static void add_default(struct engine *e, const char *name, enum network_kind kind, char digit)
{
	struct network n = { .name = xstrdup(name), .kind = kind, .is_default = 1, .data = json_object_new_object() };
	n.id = xasprintf("%064x", 0);
	memset(n.id, digit, DOCKER_ID_SIZE);
	n.id[0] = name[0] == 'b' ? 'b' : name[0] == 'h' ? 'e' : 'd';
	n.created = container_now();
	if (kind == NETWORK_BRIDGE) {
		n.bridge = e->bridge;
		n.is_up = e->has_bridge;
		if (n.bridge.subnet.prefix)
			make_pool(&n);
	}
	insert(e, &n);
}

void networks_load(struct engine *e)
{
	AUTO_ERROR struct error *err = NULL;
	int count = 0;
	add_default(e, "bridge", NETWORK_BRIDGE, '1');
	add_default(e, "host", NETWORK_HOST, '2');
	add_default(e, "none", NETWORK_NONE, '3');
	AUTO_FD int records = open_records(O_RDONLY, &err);
	DIR *d = records < 0 ? NULL : path_list(records);
	if (!d) {
		log_warning("networks: %s", error_text(err, records < 0 ? records : -errno));
		return;
	}
	atomic_file_sweep(records);
	for (struct dirent *entry; (entry = readdir(d)) && count < NETWORKS_MAX;) {
		if (!docker_is_id(entry->d_name))
			continue;
		load_one(e, records, entry->d_name);
		count++;
	}
	closedir(d);
}
