/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/network_subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "agent/core/netlink.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"

enum { ROUTES_MAX = 65536 };

/* ---- subnets ---- */

static uint32_t mask_of(uint8_t prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

int address_parse(const char *text, uint32_t *ret)
{
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1)
		return -EINVAL;
	*ret = ntohl(address.s_addr);
	return 0;
}

void address_format(uint32_t address, char ret[static ADDRESS_TEXT_MAX])
{
	struct in_addr a = { .s_addr = htonl(address) };
	inet_ntop(AF_INET, &a, ret, ADDRESS_TEXT_MAX);
}

int subnet_parse(const char *text, struct subnet *ret)
{
	AUTOFREE char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	uint32_t prefix, base;
	if (!slash || parse_u32(slash + 1, &prefix) < 0 || prefix < SUBNET_WIDEST || prefix > SUBNET_NARROWEST)
		return -EINVAL;
	*slash = '\0';
	if (address_parse(copy, &base) < 0 || (base & ~mask_of((uint8_t)prefix)))
		return -EINVAL;
	*ret = (struct subnet){ base, (uint8_t)prefix };
	return 0;
}

char *subnet_format(const struct subnet *s)
{
	char base[ADDRESS_TEXT_MAX];
	address_format(s->base, base);
	return xasprintf("%s/%u", base, s->prefix);
}

int subnet_contains(const struct subnet *s, uint32_t address)
{
	return (address & mask_of(s->prefix)) == s->base;
}

int subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	return a->prefix <= b->prefix ? subnet_contains(a, b->base) : subnet_contains(b, a->base);
}

static int is_free(const struct subnet *s, const struct subnet *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (subnet_overlaps(s, &taken[i]))
			return 0;
	return 1;
}

/* A run of subnets of one size, one after the other. */
struct range {
	struct subnet first;
	unsigned count;
};

int subnet_choose(const struct subnet *wish, const struct subnet *taken, size_t count, struct subnet *ret)
{
	static const struct range ranges[] = {
		{ { 0xac110000 /* 172.17.0.0 */, 16 }, 15 },
		{ { 0xc0a80000 /* 192.168.0.0 */, 20 }, 16 },
		{ { 0x0ae00000 /* 10.224.0.0 */, 24 }, 4096 },
	};
	if (wish && is_free(wish, taken, count)) {
		*ret = *wish;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct subnet s = ranges[i].first;
		for (unsigned k = 0; k < ranges[i].count; k++, s.base += UINT32_C(1) << (32 - s.prefix))
			if (is_free(&s, taken, count)) {
				*ret = s;
				return 0;
			}
	}
	return -EADDRNOTAVAIL;
}

/* ---- routes ---- */

struct routes {
	struct subnet *items;
	size_t count;
	uint32_t except; /* an interface's index */
};

static void add_route(const struct nlmsghdr *h, void *data)
{
	struct routes *routes = data;
	const struct rtmsg *m = NLMSG_DATA(h);
	uint32_t base = 0, interface = 0;
	int left = (int)RTM_PAYLOAD(h);
	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_family != AF_INET || m->rtm_dst_len < SUBNET_WIDEST ||
	    m->rtm_dst_len > 32 || routes->count >= ROUTES_MAX)
		return;
	for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (RTA_PAYLOAD(a) != sizeof base)
			continue;
		if (a->rta_type == RTA_DST)
			memcpy(&base, RTA_DATA(a), sizeof base);
		else if (a->rta_type == RTA_OIF)
			memcpy(&interface, RTA_DATA(a), sizeof interface);
	}
	if (routes->except && interface == routes->except)
		return;
	routes->items = xrealloc(routes->items, routes->count + 1, sizeof *routes->items);
	routes->items[routes->count++] = (struct subnet){ ntohl(base), m->rtm_dst_len };
}

int subnet_read_routes(const char *except, struct subnet **ret, size_t *ret_count)
{
	struct netlink n;
	struct routes routes = { .except = except ? if_nametoindex(except) : 0 };
	const struct rtmsg m = { .rtm_family = AF_INET };
	AUTO_FD int fd = netlink_socket(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	netlink_init(&n);
	netlink_message(&n, RTM_GETROUTE, NLM_F_DUMP, &m, sizeof m);
	int r = netlink_dump(fd, &n, sizeof m, add_route, &routes);
	if (r < 0) {
		free(routes.items);
		return r;
	}
	*ret = routes.items;
	*ret_count = routes.count;
	return 0;
}

/* ---- addresses ---- */

struct address_pool {
	struct subnet subnet;
	uint32_t size;   /* addresses in the subnet */
	uint32_t lowest; /* below it all are taken */
	size_t taken;
	uint64_t *bits; /* of those taken */
};

static uint64_t bit_of(uint32_t at)
{
	return UINT64_C(1) << at % 64;
}

static int is_taken(const struct address_pool *p, uint32_t at)
{
	return (p->bits[at / 64] & bit_of(at)) != 0;
}

/* The place of a host's address in the subnet, or 0. */
static uint32_t place_of(const struct address_pool *p, uint32_t address)
{
	uint32_t at = address - p->subnet.base;
	return subnet_contains(&p->subnet, address) && at < p->size - 1 ? at : 0;
}

struct address_pool *address_pool_new(const struct subnet *s)
{
	struct address_pool *p = xnew(struct address_pool);
	p->subnet = *s;
	p->size = UINT32_C(1) << (32 - s->prefix);
	p->lowest = 1;
	p->bits = xcalloc(p->size / 64 + 1, sizeof *p->bits);
	return p;
}

void address_pool_free(struct address_pool *p)
{
	if (!p)
		return;
	free(p->bits);
	free(p);
}

int address_pool_claim(struct address_pool *p, uint32_t address)
{
	uint32_t at = place_of(p, address);
	if (!at)
		return -ERANGE;
	if (is_taken(p, at))
		return -EADDRINUSE;
	p->bits[at / 64] |= bit_of(at);
	p->taken++;
	return 0;
}

int address_pool_take(struct address_pool *p, uint32_t *ret)
{
	while (p->lowest < p->size - 1 && is_taken(p, p->lowest))
		p->lowest++;
	if (p->lowest >= p->size - 1)
		return -ENOSPC;
	*ret = p->subnet.base + p->lowest;
	return address_pool_claim(p, *ret);
}

int address_pool_take_in(struct address_pool *p, const struct subnet *in, uint32_t *ret)
{
	uint32_t size = UINT32_C(1) << (32 - in->prefix);
	if (!subnet_contains(&p->subnet, in->base) || in->prefix < p->subnet.prefix)
		return -ERANGE;
	for (uint32_t i = 0; i < size; i++)
		if (address_pool_claim(p, in->base + i) == 0) {
			*ret = in->base + i;
			return 0;
		}
	return -ENOSPC;
}

void address_pool_release(struct address_pool *p, uint32_t address)
{
	uint32_t at = place_of(p, address);
	if (!at || !is_taken(p, at))
		return;
	p->bits[at / 64] &= ~bit_of(at);
	p->taken--;
	p->lowest = MIN(p->lowest, at);
}

size_t address_pool_taken(const struct address_pool *p)
{
	return p->taken;
}
