/* SPDX-License-Identifier: Apache-2.0
 * See lease.h. */
#include "agent/engine/lease.h"

#include "base/alloc.h"

enum { LEASES_MAX = ATTACHMENTS_MAX };

void lease_add(struct container *c, const struct network *n, uint32_t address)
{
	if (c->lease_count >= LEASES_MAX)
		return;
	c->leases = xrealloc(c->leases, c->lease_count + 1, sizeof *c->leases);
	c->leases[c->lease_count++] = (struct lease){ xstrdup(n->id), address };
}

void lease_copy(struct container *c, const struct container *from)
{
	for (size_t i = 0; i < from->lease_count; i++) {
		const struct network *n = network_by_id(c->engine, from->leases[i].network);
		if (n)
			lease_add(c, n, from->leases[i].address);
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

struct json_object *lease_store(const struct container *c)
{
	struct json_object *array = json_object_new_array();
	for (size_t i = 0; i < c->lease_count; i++) {
		struct json_object *o = json_object_new_object();
		json_add_string(o, "network", c->leases[i].network);
		json_add_u64(o, "address", c->leases[i].address);
		json_object_array_add(array, o);
	}
	return array;
}

void lease_load(struct container *c, struct json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *o = json_object_array_get_idx(array, i);
		const char *id = NULL;
		uint64_t address = 0;
		if (!json_object_is_type(o, json_type_object) || json_get_string(o, "network", &id, NULL) < 0 ||
		    json_get_u64(o, "address", &address, NULL) < 0 || address > UINT32_MAX)
			continue;
		const struct network *n = network_by_id(c->engine, id);
		if (!n || !n->pool)
			continue;
		(void)address_pool_claim(n->pool, (uint32_t)address); /* the other one may have it, too */
		lease_add(c, n, (uint32_t)address);
	}
}
