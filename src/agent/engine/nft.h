/* SPDX-License-Identifier: Apache-2.0
 * Messages of nf_tables (linux/netfilter/nf_tables.h) of one family, in one batch that the kernel
 * carries out whole or not at all. The inside of a machine need not have nft(8).
 *
 * A rule is the matches and the one action between nft_rule_open() and nft_rule_close(). A set is
 * matched by loading its key's parts, one behind the other, and nft_lookup(). */
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>

#include "agent/core/netlink.h"
#include "agent/engine/network_subnet.h"

struct nft {
	struct netlink batch;
	uint8_t family;  /* NFPROTO_IPV4 or NFPROTO_IPV6 */
	unsigned loaded; /* registers of 32 bits that hold the parts of a key */
};

struct nft_hook {
	const char *chain, *type; /* "filter" or "nat" */
	unsigned hook;            /* NF_INET_* */
	int priority;
};

struct nft_set {
	const char *name;
	uint32_t id;       /* another one for each set of a table */
	uint32_t key_size; /* in bytes */
	int is_interval;   /* elements are the first of a range, and the one behind its last (is_end) */
};

enum { NFT_KEY_MAX = 2 * IFNAMSIZ };
struct nft_element {
	uint8_t key[NFT_KEY_MAX];
	int is_end;
};

void nft_begin(struct nft *n, uint8_t family);
int nft_commit(struct nft *n); /* 0 or -errno */
/* Makes an empty table, or takes away what an earlier one had. */
void nft_table_new(struct nft *n, const char *table);
void nft_table_remove(struct nft *n, const char *table); /* without one: nothing */
/* Makes a table; nft_commit() fails with -EEXIST where there is one. */
void nft_table_first(struct nft *n, const char *table);
void nft_chain(struct nft *n, const char *table, const struct nft_hook *h);
void nft_set(struct nft *n, const char *table, const struct nft_set *s);
/* Adds elements, also such as are there; and removes them, also such as are not. */
void nft_elements_add(struct nft *n, const char *table, const struct nft_set *s, const struct nft_element *list,
    size_t count);
void nft_elements_remove(struct nft *n, const char *table, const struct nft_set *s, const struct nft_element *list,
    size_t count);

size_t nft_rule_open(struct nft *n, const char *table, const char *chain);
void nft_rule_close(struct nft *n, size_t opened);

/* Matches. */
void nft_match_destination(struct nft *n, const struct subnet *s); /* IPv4 */
void nft_match_established(struct nft *n);                         /* or related */
void nft_match_port(struct nft *n, uint8_t protocol, uint16_t port);
void nft_match_loopback(struct nft *n);              /* it comes in by lo */
void nft_match_group(struct nft *n, uint32_t group); /* of the interface that a packet comes in by */
void nft_match_neighbours(struct nft *n);            /* messages of neighbour discovery, RFC 4861 */

/* Parts of a set's key. interface: NFT_META_IIFNAME or NFT_META_OIFNAME. */
void nft_load_interface(struct nft *n, enum nft_meta_keys interface);
void nft_load_source(struct nft *n);
void nft_load_destination(struct nft *n);
void nft_lookup(struct nft *n, const struct nft_set *s);

/* Actions. */
void nft_accept(struct nft *n);
void nft_drop(struct nft *n);
void nft_masquerade(struct nft *n);
void nft_destination(struct nft *n, uint32_t address, uint16_t port); /* IPv4 */
