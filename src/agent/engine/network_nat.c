/* SPDX-License-Identifier: Apache-2.0
 * The rules of all bridges: one table for IPv4 and one for IPv6, in which a bridge is some elements
 * of sets. So a packet's way is as long with hundreds of networks as with one.
 *
 *   table ip holm-networks {
 *       chain postrouting { type nat hook postrouting priority srcnat
 *           oifname @bridges accept
 *           ip saddr @inside masquerade }
 *       chain forward { type filter hook forward priority filter
 *           iifname . oifname @same accept
 *           iifname @internal drop
 *           oifname @outward ct state established,related accept
 *           oifname @bridges drop }
 *       chain input { type filter hook input priority filter
 *           iif lo accept
 *           iifgroup BRIDGE_PORT_GROUP drop
 *           ip daddr . iifname @own accept
 *           ip daddr @gateways drop
 *           iifname @internal drop }
 *   }
 *
 * What the machine sends to itself leaves the rules at once. Nothing begins a connection into a
 * network by way of the machine, and a network's gateway
 * answers that network and the machine alone. Published ports are the agent's own connections. An
 * internal network has no masquerade; nothing leaves it, and of the machine it reaches its gateway
 * alone. A bridge without IPv6 has none at all (network.c).
 *
 * A bridge hands frames for 01:80:c2:00:00:0X to the machine as the port's own (IEEE 802.1D). So
 * their packets would come by an interface of which the other rules know nothing. */
#include <errno.h>

#include "agent/engine/network.h"
#include "agent/engine/nft.h"
#include "base/path.h"

#define TABLE "holm-networks"
enum { PRIORITY_FILTER = 0, PRIORITY_SRCNAT = 100, ADDRESSES_MAX = 3 };

static const struct nft_hook postrouting = { "postrouting", "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT },
			     forward = { "forward", "filter", NF_INET_FORWARD, PRIORITY_FILTER },
			     input = { "input", "filter", NF_INET_LOCAL_IN, PRIORITY_FILTER };

/* The sets. Those with addresses in their keys have another size in each family. */
struct sets {
	struct nft_set bridges, outward, internal, same, inside, gateways, own;
	uint32_t address_size;
};

static struct sets sets_of(uint8_t family)
{
	uint32_t size = family == NFPROTO_IPV6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	return (struct sets){
		.bridges = { "bridges", 1, IFNAMSIZ, 0 },
		.outward = { "outward", 2, IFNAMSIZ, 0 },
		.internal = { "internal", 3, IFNAMSIZ, 0 },
		.same = { "same", 4, 2 * IFNAMSIZ, 0 },
		.inside = { "inside", 5, size, 1 },
		.gateways = { "gateways", 6, size, 0 },
		.own = { "own", 7, size + IFNAMSIZ, 0 },
		.address_size = size,
	};
}

/* ---- the table ---- */

static void add_postrouting(struct nft *n, const struct sets *s)
{
	nft_chain(n, TABLE, &postrouting);
	size_t rule = nft_rule_open(n, TABLE, postrouting.chain);
	nft_load_interface(n, NFT_META_OIFNAME);
	nft_lookup(n, &s->bridges);
	nft_accept(n);
	nft_rule_close(n, rule);
	rule = nft_rule_open(n, TABLE, postrouting.chain);
	nft_load_source(n);
	nft_lookup(n, &s->inside);
	nft_masquerade(n);
	nft_rule_close(n, rule);
}

static void drop_interface(struct nft *n, const char *chain, enum nft_meta_keys interface, const struct nft_set *s)
{
	size_t rule = nft_rule_open(n, TABLE, chain);
	nft_load_interface(n, interface);
	nft_lookup(n, s);
	nft_drop(n);
	nft_rule_close(n, rule);
}

static void add_forward(struct nft *n, const struct sets *s)
{
	nft_chain(n, TABLE, &forward);
	size_t rule = nft_rule_open(n, TABLE, forward.chain);
	nft_load_interface(n, NFT_META_IIFNAME);
	nft_load_interface(n, NFT_META_OIFNAME);
	nft_lookup(n, &s->same);
	nft_accept(n);
	nft_rule_close(n, rule);
	drop_interface(n, forward.chain, NFT_META_IIFNAME, &s->internal);
	rule = nft_rule_open(n, TABLE, forward.chain);
	nft_load_interface(n, NFT_META_OIFNAME);
	nft_lookup(n, &s->outward);
	nft_match_established(n);
	nft_accept(n);
	nft_rule_close(n, rule);
	drop_interface(n, forward.chain, NFT_META_OIFNAME, &s->bridges);
}

static void add_input(struct nft *n, const struct sets *s)
{
	nft_chain(n, TABLE, &input);
	size_t rule = nft_rule_open(n, TABLE, input.chain);
	nft_match_loopback(n);
	nft_accept(n);
	nft_rule_close(n, rule);
	rule = nft_rule_open(n, TABLE, input.chain);
	nft_match_group(n, BRIDGE_PORT_GROUP);
	nft_drop(n);
	nft_rule_close(n, rule);
	rule = nft_rule_open(n, TABLE, input.chain);
	nft_load_destination(n);
	nft_load_interface(n, NFT_META_IIFNAME);
	nft_lookup(n, &s->own);
	nft_accept(n);
	nft_rule_close(n, rule);
	rule = nft_rule_open(n, TABLE, input.chain);
	nft_load_destination(n);
	nft_lookup(n, &s->gateways);
	nft_drop(n);
	nft_rule_close(n, rule);
	if (n->family == NFPROTO_IPV6) { /* without it nobody finds the gateway */
		rule = nft_rule_open(n, TABLE, input.chain);
		nft_match_neighbours(n);
		nft_accept(n);
		nft_rule_close(n, rule);
	}
	drop_interface(n, input.chain, NFT_META_IIFNAME, &s->internal);
}

/* 0 also where it is there already. */
static int make_table(uint8_t family)
{
	struct nft n;
	const struct sets s = sets_of(family);
	const struct nft_set *const all[] = { &s.bridges, &s.outward, &s.internal, &s.same, &s.inside, &s.gateways,
		&s.own };
	nft_begin(&n, family);
	nft_table_first(&n, TABLE);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		nft_set(&n, TABLE, all[i]);
	add_postrouting(&n, &s);
	add_forward(&n, &s);
	add_input(&n, &s);
	int r = nft_commit(&n);
	return r == -EEXIST ? 0 : r;
}

/* ---- one bridge ---- */

static struct nft_element interface_element(const char *first, const char *second)
{
	struct nft_element e = { 0 };
	memcpy(e.key, first, strnlen(first, IFNAMSIZ - 1));
	if (second)
		memcpy(e.key + IFNAMSIZ, second, strnlen(second, IFNAMSIZ - 1));
	return e;
}

static struct nft_element address_element(const struct sets *s, const void *address, const char *interface)
{
	struct nft_element e = { 0 };
	memcpy(e.key, address, s->address_size);
	if (interface)
		memcpy(e.key + s->address_size, interface, strnlen(interface, IFNAMSIZ - 1));
	return e;
}

/* A bridge's addresses as they are on the wire. */
struct addresses {
	struct in6_addr first, behind;      /* of the subnet, and the one behind its last */
	struct in6_addr own[ADDRESSES_MAX]; /* the machine's own on the bridge */
	size_t count;
};

static void put(struct in6_addr *to, uint32_t address)
{
	const uint32_t wire = htonl(address);
	memcpy(to, &wire, sizeof wire);
}

static struct addresses addresses_of(const struct bridge *b, uint8_t family)
{
	struct addresses a = { .count = ADDRESSES_MAX };
	if (family == NFPROTO_IPV6) {
		a.first = b->six.base;
		a.behind = subnet6_behind(&b->six);
		a.own[0] = b->gateway6;
		a.own[1] = b->six.base; /* any router's, RFC 4291, 2.6.1 */
		a.count = 2;
		return a;
	}
	uint32_t size = UINT32_C(1) << (32 - b->subnet.prefix);
	put(&a.first, b->subnet.base);
	put(&a.behind, b->subnet.base + size);
	put(&a.own[0], b->gateway);
	put(&a.own[1], b->subnet.base); /* broadcasts */
	put(&a.own[2], b->subnet.base + size - 1);
	return a;
}

typedef void change_fn(struct nft *n, const char *table, const struct nft_set *s, const struct nft_element *list,
    size_t count);

/* The elements of the bridge in all sets. */
static int change(const struct bridge *b, uint8_t family, change_fn *apply)
{
	struct nft n;
	const struct sets s = sets_of(family);
	const struct addresses a = addresses_of(b, family);
	const struct nft_element name = interface_element(b->name, NULL), twice = interface_element(b->name, b->name);
	struct nft_element range[2] = { address_element(&s, &a.first, NULL), address_element(&s, &a.behind, NULL) },
			   own[ADDRESSES_MAX], gateways[ADDRESSES_MAX];
	range[1].is_end = 1;
	for (size_t i = 0; i < a.count; i++) {
		gateways[i] = address_element(&s, &a.own[i], NULL);
		own[i] = address_element(&s, &a.own[i], b->name);
	}
	nft_begin(&n, family);
	apply(&n, TABLE, &s.bridges, &name, 1);
	apply(&n, TABLE, b->internal ? &s.internal : &s.outward, &name, 1);
	apply(&n, TABLE, &s.same, &twice, !b->apart); /* the machine would be a way around the bridge */
	apply(&n, TABLE, &s.inside, range, b->internal || b->no_masquerade ? 0 : 2);
	apply(&n, TABLE, &s.gateways, gateways, a.count);
	apply(&n, TABLE, &s.own, own, a.count);
	return nft_commit(&n);
}

static int add(const struct bridge *b, uint8_t family)
{
	int r = make_table(family);
	return r < 0 ? r : change(b, family, nft_elements_add);
}

int bridge_nat(const struct bridge *b)
{
	int r = add(b, NFPROTO_IPV4);
	return r == 0 && b->six.prefix ? add(b, NFPROTO_IPV6) : r;
}

void bridge_nat_remove(const struct bridge *b)
{
	(void)change(b, NFPROTO_IPV4, nft_elements_remove);
	if (b->six.prefix)
		(void)change(b, NFPROTO_IPV6, nft_elements_remove);
}

int bridge_has_ipv6(void)
{
	return path_exists("/proc/sys/net/ipv6") && make_table(NFPROTO_IPV6) == 0;
}
