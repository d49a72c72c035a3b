/* SPDX-License-Identifier: Apache-2.0
 * The rules of one bridge, in a table of its name:
 *
 *   table ip holm0 {
 *       chain postrouting { type nat hook postrouting priority srcnat
 *           ip saddr 172.17.0.0/16 oifname != "holm0" masquerade }
 *       chain forward { type filter hook forward priority filter
 *           oifname "holm0" iifname "holm0" accept
 *           oifname "holm0" ct state established,related accept
 *           oifname "holm0" drop }
 *       chain input { type filter hook input priority filter
 *           ip daddr 172.17.0.0/16 iifname "holm0" accept
 *           ip daddr 172.17.0.0/16 iifname "lo" accept
 *           ip daddr 172.17.0.0/16 drop }
 *   }
 *
 * So nothing begins a connection into a network by way of the machine, and a network's gateway
 * answers that network and the machine alone. Published ports are the agent's own connections. An
 * internal network has no masquerade; nothing leaves it, and of the machine it reaches its gateway
 * alone. The bridge has no IPv6 (network.c), for which there are no rules. */
#include "agent/engine/network.h"
#include "agent/engine/nft.h"

enum { PRIORITY_FILTER = 0, PRIORITY_SRCNAT = 100 };

static const struct nft_hook postrouting = { "postrouting", "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT },
			     forward = { "forward", "filter", NF_INET_FORWARD, PRIORITY_FILTER },
			     input = { "input", "filter", NF_INET_LOCAL_IN, PRIORITY_FILTER };

static void add_masquerade(struct netlink *n, const struct bridge *b)
{
	nft_chain(n, b->name, &postrouting);
	size_t rule = nft_rule_open(n, b->name, postrouting.chain);
	nft_match_source(n, &b->subnet);
	nft_match_interface(n, NFT_META_OIFNAME, NFT_CMP_NEQ, b->name);
	nft_masquerade(n);
	nft_rule_close(n, rule);
}

static void add_forward(struct netlink *n, const struct bridge *b)
{
	nft_chain(n, b->name, &forward);
	size_t rule = nft_rule_open(n, b->name, forward.chain);
	nft_match_interface(n, NFT_META_OIFNAME, NFT_CMP_EQ, b->name);
	nft_match_interface(n, NFT_META_IIFNAME, NFT_CMP_EQ, b->name);
	if (b->apart) /* the machine would be a way around the bridge */
		nft_drop(n);
	else
		nft_accept(n);
	nft_rule_close(n, rule);
	if (b->internal) {
		rule = nft_rule_open(n, b->name, forward.chain);
		nft_match_interface(n, NFT_META_IIFNAME, NFT_CMP_EQ, b->name);
		nft_drop(n);
		nft_rule_close(n, rule);
	} else {
		rule = nft_rule_open(n, b->name, forward.chain);
		nft_match_interface(n, NFT_META_OIFNAME, NFT_CMP_EQ, b->name);
		nft_match_established(n);
		nft_accept(n);
		nft_rule_close(n, rule);
	}
	rule = nft_rule_open(n, b->name, forward.chain);
	nft_match_interface(n, NFT_META_OIFNAME, NFT_CMP_EQ, b->name);
	nft_drop(n);
	nft_rule_close(n, rule);
}

static void add_input(struct netlink *n, const struct bridge *b)
{
	const char *const from[] = { b->name, "lo" };
	size_t rule;
	nft_chain(n, b->name, &input);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		rule = nft_rule_open(n, b->name, input.chain);
		nft_match_destination(n, NFT_CMP_EQ, &b->subnet);
		nft_match_interface(n, NFT_META_IIFNAME, NFT_CMP_EQ, from[i]);
		nft_accept(n);
		nft_rule_close(n, rule);
	}
	rule = nft_rule_open(n, b->name, input.chain);
	nft_match_destination(n, NFT_CMP_EQ, &b->subnet);
	nft_drop(n);
	nft_rule_close(n, rule);
	if (!b->internal)
		return;
	rule = nft_rule_open(n, b->name, input.chain);
	nft_match_interface(n, NFT_META_IIFNAME, NFT_CMP_EQ, b->name);
	nft_drop(n);
	nft_rule_close(n, rule);
}

int bridge_nat(const struct bridge *b)
{
	struct netlink n;
	nft_begin(&n);
	nft_table_new(&n, b->name);
	if (!b->internal && !b->no_masquerade)
		add_masquerade(&n, b);
	add_forward(&n, b);
	add_input(&n, b);
	return nft_commit(&n);
}

void bridge_nat_remove(const struct bridge *b)
{
	struct netlink n;
	nft_begin(&n);
	nft_table_remove(&n, b->name);
	(void)nft_commit(&n);
}
