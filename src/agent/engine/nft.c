/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>

#include "base/fd.h"

enum {
	SADDR_OFFSET = 12, /* RFC 791, 3.1 */
	DADDR_OFFSET = 16,
	DPORT_OFFSET = 2, /* RFC 768 and RFC 9293 */
};

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

/* ---- tables and chains ---- */

void nft_begin(struct netlink *n)
{
	netlink_init(n);
	add_message(n, NFNL_MSG_BATCH_BEGIN, 0);
}

int nft_commit(struct netlink *n)
{
	AUTO_FD int fd = netlink_socket(NETLINK_NETFILTER);
	if (fd < 0)
		return fd;
	add_message(n, NFNL_MSG_BATCH_END, 0);
	return netlink_do(fd, n);
}

static void add_table(struct netlink *n, uint16_t type, const char *table)
{
	add_message(n, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
	netlink_add_string(n, NFTA_TABLE_NAME, table);
}

void nft_table_remove(struct netlink *n, const char *table)
{
	add_table(n, NFT_MSG_NEWTABLE, table);
	add_table(n, NFT_MSG_DELTABLE, table);
}

void nft_table_new(struct netlink *n, const char *table)
{
	nft_table_remove(n, table);
	add_table(n, NFT_MSG_NEWTABLE, table);
}

void nft_chain(struct netlink *n, const char *table, const struct nft_hook *h)
{
	add_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	netlink_add_string(n, NFTA_CHAIN_TABLE, table);
	netlink_add_string(n, NFTA_CHAIN_NAME, h->chain);
	size_t hook = netlink_open(n, NFTA_CHAIN_HOOK);
	add_be32(n, NFTA_HOOK_HOOKNUM, h->hook);
	add_be32(n, NFTA_HOOK_PRIORITY, (uint32_t)h->priority);
	netlink_close(n, hook);
	add_be32(n, NFTA_CHAIN_POLICY, NF_ACCEPT);
	netlink_add_string(n, NFTA_CHAIN_TYPE, h->type);
}

size_t nft_rule_open(struct netlink *n, const char *table, const char *chain)
{
	add_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	netlink_add_string(n, NFTA_RULE_TABLE, table);
	netlink_add_string(n, NFTA_RULE_CHAIN, chain);
	return netlink_open(n, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_close(struct netlink *n, size_t opened)
{
	netlink_close(n, opened);
}

/* ---- expressions ---- */

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

static void mask_register(struct netlink *n, uint32_t mask)
{
	const uint32_t zero = 0;
	struct expression e = open_expression(n, "bitwise");
	add_be32(n, NFTA_BITWISE_SREG, NFT_REG_1);
	add_be32(n, NFTA_BITWISE_DREG, NFT_REG_1);
	add_be32(n, NFTA_BITWISE_LEN, sizeof mask);
	add_value(n, NFTA_BITWISE_MASK, &mask, sizeof mask);
	add_value(n, NFTA_BITWISE_XOR, &zero, sizeof zero);
	close_expression(n, e);
}

static void load_payload(struct netlink *n, enum nft_payload_bases base, uint32_t offset, uint32_t size)
{
	struct expression e = open_expression(n, "payload");
	add_be32(n, NFTA_PAYLOAD_DREG, NFT_REG_1);
	add_be32(n, NFTA_PAYLOAD_BASE, base);
	add_be32(n, NFTA_PAYLOAD_OFFSET, offset);
	add_be32(n, NFTA_PAYLOAD_LEN, size);
	close_expression(n, e);
}

static void load_meta(struct netlink *n, enum nft_meta_keys key)
{
	struct expression e = open_expression(n, "meta");
	add_be32(n, NFTA_META_DREG, NFT_REG_1);
	add_be32(n, NFTA_META_KEY, key);
	close_expression(n, e);
}

void nft_match_interface(struct netlink *n, enum nft_meta_keys interface, enum nft_cmp_ops op, const char *name)
{
	char whole[IFNAMSIZ] = { 0 };
	memcpy(whole, name, strnlen(name, sizeof whole - 1));
	load_meta(n, interface);
	compare(n, op, whole, sizeof whole);
}

static void match_address(struct netlink *n, uint32_t offset, enum nft_cmp_ops op, const struct subnet *s)
{
	const uint32_t base = htonl(s->base);
	load_payload(n, NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof base);
	mask_register(n, htonl(s->prefix ? UINT32_MAX << (32 - s->prefix) : 0));
	compare(n, op, &base, sizeof base);
}

void nft_match_source(struct netlink *n, const struct subnet *s)
{
	match_address(n, SADDR_OFFSET, NFT_CMP_EQ, s);
}

void nft_match_destination(struct netlink *n, enum nft_cmp_ops op, const struct subnet *s)
{
	match_address(n, DADDR_OFFSET, op, s);
}

void nft_match_established(struct netlink *n)
{
	const uint32_t zero = 0;
	struct expression e = open_expression(n, "ct");
	add_be32(n, NFTA_CT_DREG, NFT_REG_1);
	add_be32(n, NFTA_CT_KEY, NFT_CT_STATE);
	close_expression(n, e);
	mask_register(n, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	compare(n, NFT_CMP_NEQ, &zero, sizeof zero);
}

void nft_match_port(struct netlink *n, uint8_t protocol, uint16_t port)
{
	const uint16_t wire = htons(port);
	load_meta(n, NFT_META_L4PROTO);
	compare(n, NFT_CMP_EQ, &protocol, sizeof protocol);
	load_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof wire);
	compare(n, NFT_CMP_EQ, &wire, sizeof wire);
}

static void add_verdict(struct netlink *n, uint32_t verdict)
{
	struct expression e = open_expression(n, "immediate");
	add_be32(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	size_t data = netlink_open(n, NFTA_IMMEDIATE_DATA), code = netlink_open(n, NFTA_DATA_VERDICT);
	add_be32(n, NFTA_VERDICT_CODE, verdict);
	netlink_close(n, code);
	netlink_close(n, data);
	close_expression(n, e);
}

void nft_accept(struct netlink *n)
{
	add_verdict(n, NF_ACCEPT);
}

void nft_drop(struct netlink *n)
{
	add_verdict(n, NF_DROP);
}

void nft_masquerade(struct netlink *n)
{
	close_expression(n, open_expression(n, "masq"));
}

static void load_value(struct netlink *n, enum nft_registers to, const void *data, size_t size)
{
	struct expression e = open_expression(n, "immediate");
	add_be32(n, NFTA_IMMEDIATE_DREG, to);
	add_value(n, NFTA_IMMEDIATE_DATA, data, size);
	close_expression(n, e);
}

void nft_destination(struct netlink *n, uint32_t address, uint16_t port)
{
	const uint32_t wire = htonl(address);
	const uint16_t wire_port = htons(port);
	load_value(n, NFT_REG_1, &wire, sizeof wire);
	load_value(n, NFT_REG_2, &wire_port, sizeof wire_port);
	struct expression e = open_expression(n, "nat");
	add_be32(n, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	add_be32(n, NFTA_NAT_FAMILY, NFPROTO_IPV4);
	add_be32(n, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	add_be32(n, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
	close_expression(n, e);
}
