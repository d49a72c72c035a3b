/* SPDX-License-Identifier: Apache-2.0
 * See lease.h. */
#include "agent/engine/lease.h"

#include "agent/engine/network.h"
#include "base/alloc.h"
#include "base/log.h"

enum { LEASES_MAX = ATTACHMENTS_MAX };

void lease_add(struct container *c, const struct network *n, uint32_t address, unsigned interface)
{
	if (c->lease_count >= LEASES_MAX)
		return;
	c->leases = xrealloc(c->leases, c->lease_count + 1, sizeof *c->leases);
	c->leases[c->lease_count++] = (struct lease){ xstrdup(n->id), address, interface };
}

void lease_copy(struct container *c, const struct container *from)
{
	for (size_t i = 0; i < from->lease_count; i++) {
		const struct network *n = network_by_id(c->engine, from->leases[i].network);
		if (n)
			lease_add(c, n, from->leases[i].address, from->leases[i].interface);
	}
}

static int is_held(const struct engine *e, const struct lease *l)
{
	for (const struct container *c = e->containers; c; c = c->next)
		for (size_t i = 0; i < c->lease_count; i++)
			if (&c->leases[i] != l && c->leases[i].address == l->address &&
			    streq(c->leases[i].network, l->network))
				return 1;
	return 0;
}

static void drop_at(struct container *c, size_t at)
{
	struct lease *l = &c->leases[at];
	const struct network *n = network_by_id(c->engine, l->network);
	if (n && n->pool && !is_held(c->engine, l))
		address_pool_release(n->pool, l->address);
	free(l->network);
	*l = c->leases[--c->lease_count];
}

void lease_drop(struct container *c, uint32_t address)
{
	for (size_t i = 0; i < c->lease_count; i++)
		if (c->leases[i].address == address) {
			drop_at(c, i);
			return;
		}
}

void lease_drop_all(struct container *c)
{
	while (c->lease_count)
		drop_at(c, c->lease_count - 1);
	free(TAKE_PTR(c->leases));
}

/* ---- an address that is wanted ---- */

static struct lease *find(const struct container *c, const struct network *n, uint32_t address)
{
	for (size_t i = 0; i < c->lease_count; i++)
		if (c->leases[i].address == address && streq(c->leases[i].network, n->id))
			return &c->leases[i];
	return NULL;
}

static void remove_interface(const struct container *c, unsigned interface)
{
	AUTO_ERROR struct error *err = NULL;
	const struct namespaces_change change = { .remove = (int)interface };
	int r = container_namespaces_change(&c->namespaces, &change, &err);
	if (r < 0)
		log_warning("container %.12s: its old interface stays: %s", c->record.id, error_text(err, r));
}

void lease_evict(struct engine *e, const struct network *n, uint32_t address)
{
	const struct container *shares = NULL;
	for (struct container *c = e->containers; c; c = c->next) {
		const struct docker_endpoint *p = network_endpoint(n, c);
		if (p && p->address == address)
			return;
		if (c->namespaces.network >= 0 && find(c, n, address))
			shares = c;
	}
	if (!shares)
		return;
	remove_interface(shares, find(shares, n, address)->interface);
	for (struct container *c = e->containers; c; c = c->next)
		if (find(c, n, address))
			lease_drop(c, address);
}

/* ---- the monitor's note ---- */

struct json_object *lease_store(const struct container *c)
{
	struct json_object *array = json_object_new_array();
	for (size_t i = 0; i < c->lease_count; i++) {
		struct json_object *o = json_object_new_object();
		json_add_string(o, "network", c->leases[i].network);
		json_add_u64(o, "address", c->leases[i].address);
		json_add_u64(o, "interface", c->leases[i].interface);
		json_object_array_add(array, o);
	}
	return array;
}

void lease_load(struct container *c, struct json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *o = json_object_array_get_idx(array, i);
		const char *id = NULL;
		uint64_t address = 0, interface = 0;
		if (!json_object_is_type(o, json_type_object) || json_get_string(o, "network", &id, NULL) < 0 ||
		    json_get_u64(o, "address", &address, NULL) < 0 || address > UINT32_MAX ||
		    json_get_u64(o, "interface", &interface, NULL) < 0 || interface >= ATTACHMENTS_MAX)
			continue;
		const struct network *n = network_by_id(c->engine, id);
		if (!n || !n->pool)
			continue;
		(void)address_pool_claim(n->pool, (uint32_t)address); /* the other one may have it, too */
		lease_add(c, n, (uint32_t)address, (unsigned)interface);
	}
}
