/* SPDX-License-Identifier: Apache-2.0
 * Messages of nf_tables (linux/netfilter/nf_tables.h), IPv4, in one batch that the kernel carries
 * out whole or not at all. The inside of a machine need not have nft(8).
 *
 * A rule is the matches and the one action between nft_rule_open() and nft_rule_close(). */
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "agent/core/netlink.h"
#include "agent/engine/network_subnet.h"

struct nft_hook {
	const char *chain, *type; /* "filter" or "nat" */
	unsigned hook;            /* NF_INET_* */
	int priority;
};

void nft_begin(struct netlink *n);
int nft_commit(struct netlink *n); /* 0 or -errno */
/* Makes an empty table, or takes away what an earlier one had. */
void nft_table_new(struct netlink *n, const char *table);
void nft_table_remove(struct netlink *n, const char *table); /* without one: nothing */
void nft_chain(struct netlink *n, const char *table, const struct nft_hook *h);

size_t nft_rule_open(struct netlink *n, const char *table, const char *chain);
void nft_rule_close(struct netlink *n, size_t opened);

/* Matches. interface: NFT_META_IIFNAME or NFT_META_OIFNAME. */
void nft_match_interface(struct netlink *n, enum nft_meta_keys interface, enum nft_cmp_ops op, const char *name);
void nft_match_source(struct netlink *n, const struct subnet *s);
void nft_match_destination(struct netlink *n, enum nft_cmp_ops op, const struct subnet *s);
void nft_match_established(struct netlink *n); /* or related */
void nft_match_port(struct netlink *n, uint8_t protocol, uint16_t port);

/* Actions. */
void nft_accept(struct netlink *n);
void nft_drop(struct netlink *n);
void nft_masquerade(struct netlink *n);
void nft_destination(struct netlink *n, uint32_t address, uint16_t port);
