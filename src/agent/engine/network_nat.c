/* SPDX-License-Identifier: Apache-2.0
 * The NAT of a bridge, as nf_tables messages in one batch (linux/netfilter/nf_tables.h). It equals
 * these lines for nft(8), which the inside of a machine need not have:
 *
 *   table ip holm0
 *   delete table ip holm0
 *   table ip holm0 {
 *       chain postrouting {
 *           type nat hook postrouting priority srcnat; policy accept;
 *           ip saddr 172.17.0.0/16 oifname != "holm0" masquerade
 *       }
 *   }
 *
 * The first two make the batch repeatable. A batch is carried out whole or not at all. */
#include "agent/engine/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "agent/core/netlink.h"
#include "base/fd.h"

#define CHAIN "postrouting"
enum { PRIORITY_SRCNAT = 100, SADDR_OFFSET = 12 /* RFC 791, 3.1 */ };

static void add_message(struct netlink *n, uint16_t type, uint16_t flags)
{
	int is_batch = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;
	struct nfgenmsg m = {
		.nfgen_family = is_batch ? AF_UNSPEC : NFPROTO_IPV4,
		.version = NFNETLINK_V0,
		.res_id = htons(is_batch ? NFNL_SUBSYS_NFTABLES : 0),
	};
	netlink_message(n, is_batch ? type : NFNL_SUBSYS_NFTABLES << 8 | type, flags | (is_batch ? 0 : NLM_F_ACK), &m,
	    sizeof m);
}

static void add_be32(struct netlink *n, uint16_t type, uint32_t value)
{
	netlink_add_u32(n, type, htonl(value));
}

static void add_table(struct netlink *n, uint16_t type, const char *table)
{
	add_message(n, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
	netlink_add_string(n, NFTA_TABLE_NAME, table);
}

static void add_chain(struct netlink *n, const char *table)
{
	add_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	netlink_add_string(n, NFTA_CHAIN_TABLE, table);
	netlink_add_string(n, NFTA_CHAIN_NAME, CHAIN);
	size_t hook = netlink_open(n, NFTA_CHAIN_HOOK);
	add_be32(n, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	add_be32(n, NFTA_HOOK_PRIORITY, PRIORITY_SRCNAT);
	netlink_close(n, hook);
	add_be32(n, NFTA_CHAIN_POLICY, NF_ACCEPT);
	netlink_add_string(n, NFTA_CHAIN_TYPE, "nat");
}

/* ---- the expressions of the rule ---- */

struct expression {
	size_t item, data;
};

static struct expression open_expression(struct netlink *n, const char *name)
{
	struct expression e = { .item = netlink_open(n, NFTA_LIST_ELEM) };
	netlink_add_string(n, NFTA_EXPR_NAME, name);
	e.data = netlink_open(n, NFTA_EXPR_DATA);
	return e;
}

static void close_expression(struct netlink *n, struct expression e)
{
	netlink_close(n, e.data);
	netlink_close(n, e.item);
}

static void add_value(struct netlink *n, uint16_t type, const void *data, size_t size)
{
	size_t value = netlink_open(n, type);
	netlink_add(n, NFTA_DATA_VALUE, data, size);
	netlink_close(n, value);
}

static void compare(struct netlink *n, enum nft_cmp_ops op, const void *data, size_t size)
{
	struct expression e = open_expression(n, "cmp");
	add_be32(n, NFTA_CMP_SREG, NFT_REG_1);
	add_be32(n, NFTA_CMP_OP, op);
	add_value(n, NFTA_CMP_DATA, data, size);
	close_expression(n, e);
}

static void match_source(struct netlink *n, const struct subnet *s)
{
	const uint32_t base = htonl(s->base), mask = htonl(UINT32_MAX << (32 - s->prefix)), zero = 0;
	struct expression e = open_expression(n, "payload");
	add_be32(n, NFTA_PAYLOAD_DREG, NFT_REG_1);
	add_be32(n, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	add_be32(n, NFTA_PAYLOAD_OFFSET, SADDR_OFFSET);
	add_be32(n, NFTA_PAYLOAD_LEN, sizeof base);
	close_expression(n, e);
	e = open_expression(n, "bitwise");
	add_be32(n, NFTA_BITWISE_SREG, NFT_REG_1);
	add_be32(n, NFTA_BITWISE_DREG, NFT_REG_1);
	add_be32(n, NFTA_BITWISE_LEN, sizeof mask);
	add_value(n, NFTA_BITWISE_MASK, &mask, sizeof mask);
	add_value(n, NFTA_BITWISE_XOR, &zero, sizeof zero);
	close_expression(n, e);
	compare(n, NFT_CMP_EQ, &base, sizeof base);
}

static void match_other_interface(struct netlink *n, const char *name)
{
	char whole[IFNAMSIZ] = { 0 };
	memcpy(whole, name, strnlen(name, sizeof whole - 1));
	struct expression e = open_expression(n, "meta");
	add_be32(n, NFTA_META_DREG, NFT_REG_1);
	add_be32(n, NFTA_META_KEY, NFT_META_OIFNAME);
	close_expression(n, e);
	compare(n, NFT_CMP_NEQ, whole, sizeof whole);
}

static void add_rule(struct netlink *n, const struct bridge *b)
{
	add_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	netlink_add_string(n, NFTA_RULE_TABLE, b->name);
	netlink_add_string(n, NFTA_RULE_CHAIN, CHAIN);
	size_t list = netlink_open(n, NFTA_RULE_EXPRESSIONS);
	match_source(n, &b->subnet);
	match_other_interface(n, b->name);
	close_expression(n, open_expression(n, "masq"));
	netlink_close(n, list);
}

/* ---- the batch ---- */

static int apply(const struct bridge *b, int with_rule)
{
	struct netlink n;
	AUTO_FD int fd = netlink_socket(NETLINK_NETFILTER);
	if (fd < 0)
		return fd;
	netlink_init(&n);
	add_message(&n, NFNL_MSG_BATCH_BEGIN, 0);
	add_table(&n, NFT_MSG_NEWTABLE, b->name);
	add_table(&n, NFT_MSG_DELTABLE, b->name);
	if (with_rule) {
		add_table(&n, NFT_MSG_NEWTABLE, b->name);
		add_chain(&n, b->name);
		add_rule(&n, b);
	}
	add_message(&n, NFNL_MSG_BATCH_END, 0);
	return netlink_do(fd, &n);
}

int bridge_nat(const struct bridge *b)
{
	return apply(b, 1);
}

void bridge_nat_remove(const struct bridge *b)
{
	apply(b, 0);
}
