/* SPDX-License-Identifier: Apache-2.0
 * See names.h. */
#include "agent/engine/names.h"

#include <errno.h>
#include <strings.h>

#include "agent/engine/endpoints.h"
#include "base/alloc.h"

/* The name without ".NETWORK" behind it; owned. */
static char *without_network(const char *name, const struct network *n)
{
	size_t size = strlen(name), own = strlen(n->name);
	if (size > own + 1 && name[size - own - 1] == '.' && strcasecmp(name + size - own, n->name) == 0)
		return xstrndup(name, size - own - 1);
	return xstrdup(name);
}

static int is_called(const struct container *c, const struct docker_endpoint *p, const char *name)
{
	AUTO_STRV struct strv names = { 0 };
	endpoint_names(c, p, &names);
	for (size_t i = 0; i < names.count; i++)
		if (strcasecmp(names.items[i], name) == 0)
			return 1;
	return 0;
}

/* "CONTAINER:ALIAS" of the container that asks. */
static const struct container *linked(const struct container *c, const struct docker_endpoint *p, const char *name)
{
	for (size_t i = 0; i < p->links.count; i++) {
		const char *link = p->links.items[i], *colon = strchr(link, ':');
		AUTOFREE char *target = xstrndup(link, strcspn(link, ":"));
		if (colon && strcasecmp(colon + 1, name) == 0)
			return container_find(c->engine, target, NULL);
	}
	return NULL;
}

static size_t find_on(const struct container *c, const struct docker_endpoint *p, const struct network *n,
    const char *name, const struct docker_endpoint **ret, size_t max)
{
	AUTOFREE char *plain = without_network(name, n);
	const struct container *only = linked(c, p, plain);
	size_t count = 0;
	for (struct container *other = c->engine->containers; other && count < max; other = other->next) {
		const struct docker_endpoint *at = network_endpoint(n, other);
		if (at && at->address && (only ? other == only : is_called(other, at, plain)))
			ret[count++] = at;
	}
	return count;
}

static void rotate(const struct docker_endpoint **list, size_t count)
{
	static size_t turn;
	size_t by = count ? turn++ % count : 0;
	while (by--) {
		const struct docker_endpoint *first = list[0];
		for (size_t i = 0; i + 1 < count; i++)
			list[i] = list[i + 1];
		list[count - 1] = first;
	}
}

int names_find(const struct container *c, const char *name, const struct docker_endpoint **ret, size_t max)
{
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct docker_endpoint *p = &c->record.endpoints.items[i];
		const struct network *n = p->address ? network_by_id(c->engine, p->network) : NULL;
		size_t count = n && !n->is_default ? find_on(c, p, n, name, ret, max) : 0;
		if (count) {
			rotate(ret, count);
			return (int)count;
		}
	}
	return -ENOENT;
}

static int has_address(const struct docker_endpoint *p, uint32_t address, const struct in6_addr *address6)
{
	if (!p || !p->address)
		return 0;
	return address ? p->address == address : address6_equal(&p->address6, address6);
}

char *names_reverse(const struct container *c, uint32_t address, const struct in6_addr *address6)
{
	if (!address && !address6_is_set(address6))
		return NULL;
	for (size_t i = 0; i < c->record.endpoints.count; i++) {
		const struct docker_endpoint *p = &c->record.endpoints.items[i];
		const struct network *n = p->address ? network_by_id(c->engine, p->network) : NULL;
		if (!n || n->is_default)
			continue;
		for (struct container *other = c->engine->containers; other; other = other->next)
			if (has_address(network_endpoint(n, other), address, address6))
				return xasprintf("%s.%s", other->record.name, n->name);
	}
	return NULL;
}
