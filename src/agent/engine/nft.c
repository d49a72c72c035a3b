/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/icmp6.h>

#include "base/fd.h"

enum {
	SADDR_OFFSET = 12, /* RFC 791, 3.1 */
	DADDR_OFFSET = 16,
	SADDR6_OFFSET = 8, /* RFC 8200, 3 */
	DADDR6_OFFSET = 24,
	DPORT_OFFSET = 2, /* RFC 768 and RFC 9293 */
	REGISTER = 4,     /* bytes of NFT_REG32_00 and so on */
};

static void add_message(struct nft *n, uint16_t type, uint16_t flags)
{
	int is_batch = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;
	struct nfgenmsg m = {
		.nfgen_family = is_batch ? AF_UNSPEC : n->family,
		.version = NFNETLINK_V0,
		.res_id = htons(is_batch ? NFNL_SUBSYS_NFTABLES : 0),
	};
	netlink_message(&n->batch, is_batch ? type : NFNL_SUBSYS_NFTABLES << 8 | type,
	    flags | (is_batch ? 0 : NLM_F_ACK), &m, sizeof m);
}

static void add_be32(struct nft *n, uint16_t type, uint32_t value)
{
	netlink_add_u32(&n->batch, type, htonl(value));
}

static void add_text(struct nft *n, uint16_t type, const char *value)
{
	netlink_add_string(&n->batch, type, value);
}

static size_t open_list(struct nft *n, uint16_t type)
{
	return netlink_open(&n->batch, type);
}

static void close_list(struct nft *n, size_t opened)
{
	netlink_close(&n->batch, opened);
}

static void add_value(struct nft *n, uint16_t type, const void *data, size_t size)
{
	size_t value = open_list(n, type);
	netlink_add(&n->batch, NFTA_DATA_VALUE, data, size);
	close_list(n, value);
}

/* ---- tables and chains ---- */

void nft_begin(struct nft *n, uint8_t family)
{
	n->family = family;
	n->loaded = 0;
	netlink_init(&n->batch);
	add_message(n, NFNL_MSG_BATCH_BEGIN, 0);
}

int nft_commit(struct nft *n)
{
	AUTO_FD int fd = netlink_socket(NETLINK_NETFILTER);
	if (fd < 0)
		return fd;
	add_message(n, NFNL_MSG_BATCH_END, 0);
	return netlink_do(fd, &n->batch);
}

static void add_table(struct nft *n, uint16_t type, const char *table, uint16_t flags)
{
	add_message(n, type, flags);
	add_text(n, NFTA_TABLE_NAME, table);
}

void nft_table_remove(struct nft *n, const char *table)
{
	add_table(n, NFT_MSG_NEWTABLE, table, NLM_F_CREATE);
	add_table(n, NFT_MSG_DELTABLE, table, 0);
}

void nft_table_new(struct nft *n, const char *table)
{
	nft_table_remove(n, table);
	add_table(n, NFT_MSG_NEWTABLE, table, NLM_F_CREATE);
}

void nft_table_first(struct nft *n, const char *table)
{
	add_table(n, NFT_MSG_NEWTABLE, table, NLM_F_CREATE | NLM_F_EXCL);
}

void nft_chain(struct nft *n, const char *table, const struct nft_hook *h)
{
	add_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	add_text(n, NFTA_CHAIN_TABLE, table);
	add_text(n, NFTA_CHAIN_NAME, h->chain);
	size_t hook = open_list(n, NFTA_CHAIN_HOOK);
	add_be32(n, NFTA_HOOK_HOOKNUM, h->hook);
	add_be32(n, NFTA_HOOK_PRIORITY, (uint32_t)h->priority);
	close_list(n, hook);
	add_be32(n, NFTA_CHAIN_POLICY, NF_ACCEPT);
	add_text(n, NFTA_CHAIN_TYPE, h->type);
}

size_t nft_rule_open(struct nft *n, const char *table, const char *chain)
{
	n->loaded = 0;
	add_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	add_text(n, NFTA_RULE_TABLE, table);
	add_text(n, NFTA_RULE_CHAIN, chain);
	return open_list(n, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_close(struct nft *n, size_t opened)
{
	close_list(n, opened);
}

/* ---- sets ---- */

void nft_set(struct nft *n, const char *table, const struct nft_set *s)
{
	add_message(n, NFT_MSG_NEWSET, NLM_F_CREATE);
	add_text(n, NFTA_SET_TABLE, table);
	add_text(n, NFTA_SET_NAME, s->name);
	add_be32(n, NFTA_SET_FLAGS, s->is_interval ? NFT_SET_INTERVAL : 0);
	add_be32(n, NFTA_SET_KEY_TYPE, NFT_DATA_VALUE);
	add_be32(n, NFTA_SET_KEY_LEN, s->key_size);
	add_be32(n, NFTA_SET_ID, s->id);
}

static void add_elements(struct nft *n, uint16_t type, const char *table, const struct nft_set *s,
    const struct nft_element *list, size_t count)
{
	if (!count)
		return;
	add_message(n, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
	add_text(n, NFTA_SET_ELEM_LIST_TABLE, table);
	add_text(n, NFTA_SET_ELEM_LIST_SET, s->name);
	size_t elements = open_list(n, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < count; i++) {
		size_t item = open_list(n, NFTA_LIST_ELEM);
		if (list[i].is_end)
			add_be32(n, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
		add_value(n, NFTA_SET_ELEM_KEY, list[i].key, s->key_size);
		close_list(n, item);
	}
	close_list(n, elements);
}

void nft_elements_add(struct nft *n, const char *table, const struct nft_set *s, const struct nft_element *list,
    size_t count)
{
	add_elements(n, NFT_MSG_NEWSETELEM, table, s, list, count);
}

void nft_elements_remove(struct nft *n, const char *table, const struct nft_set *s, const struct nft_element *list,
    size_t count)
{
	add_elements(n, NFT_MSG_NEWSETELEM, table, s, list, count);
	add_elements(n, NFT_MSG_DELSETELEM, table, s, list, count);
}

/* ---- expressions ---- */

struct expression {
	size_t item, data;
};

static struct expression open_expression(struct nft *n, const char *name)
{
	struct expression e = { .item = open_list(n, NFTA_LIST_ELEM) };
	add_text(n, NFTA_EXPR_NAME, name);
	e.data = open_list(n, NFTA_EXPR_DATA);
	return e;
}

static void close_expression(struct nft *n, struct expression e)
{
	close_list(n, e.data);
	close_list(n, e.item);
}

static void compare(struct nft *n, enum nft_cmp_ops op, const void *data, size_t size)
{
	struct expression e = open_expression(n, "cmp");
	add_be32(n, NFTA_CMP_SREG, NFT_REG_1);
	add_be32(n, NFTA_CMP_OP, op);
	add_value(n, NFTA_CMP_DATA, data, size);
	close_expression(n, e);
}

static void mask_register(struct nft *n, uint32_t mask)
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

static void load_payload(struct nft *n, uint32_t to, enum nft_payload_bases base, uint32_t offset, uint32_t size)
{
	struct expression e = open_expression(n, "payload");
	add_be32(n, NFTA_PAYLOAD_DREG, to);
	add_be32(n, NFTA_PAYLOAD_BASE, base);
	add_be32(n, NFTA_PAYLOAD_OFFSET, offset);
	add_be32(n, NFTA_PAYLOAD_LEN, size);
	close_expression(n, e);
}

static void load_meta(struct nft *n, uint32_t to, enum nft_meta_keys key)
{
	struct expression e = open_expression(n, "meta");
	add_be32(n, NFTA_META_DREG, to);
	add_be32(n, NFTA_META_KEY, key);
	close_expression(n, e);
}

/* The registers of the key's next part. */
static uint32_t next_register(struct nft *n, unsigned size)
{
	uint32_t at = NFT_REG32_00 + n->loaded;
	n->loaded += size / REGISTER;
	return at;
}

void nft_load_interface(struct nft *n, enum nft_meta_keys interface)
{
	load_meta(n, next_register(n, IFNAMSIZ), interface);
}

static void load_address(struct nft *n, uint32_t offset, uint32_t offset6)
{
	int six = n->family == NFPROTO_IPV6;
	unsigned size = six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	load_payload(n, next_register(n, size), NFT_PAYLOAD_NETWORK_HEADER, six ? offset6 : offset, size);
}

void nft_load_source(struct nft *n)
{
	load_address(n, SADDR_OFFSET, SADDR6_OFFSET);
}

void nft_load_destination(struct nft *n)
{
	load_address(n, DADDR_OFFSET, DADDR6_OFFSET);
}

void nft_lookup(struct nft *n, const struct nft_set *s)
{
	struct expression e = open_expression(n, "lookup");
	add_text(n, NFTA_LOOKUP_SET, s->name);
	add_be32(n, NFTA_LOOKUP_SET_ID, s->id);
	add_be32(n, NFTA_LOOKUP_SREG, NFT_REG32_00);
	close_expression(n, e);
	n->loaded = 0;
}

void nft_match_destination(struct nft *n, const struct subnet *s)
{
	const uint32_t base = htonl(s->base);
	load_payload(n, NFT_REG_1, NFT_PAYLOAD_NETWORK_HEADER, DADDR_OFFSET, sizeof base);
	mask_register(n, htonl(s->prefix ? UINT32_MAX << (32 - s->prefix) : 0));
	compare(n, NFT_CMP_EQ, &base, sizeof base);
}

void nft_match_established(struct nft *n)
{
	const uint32_t zero = 0;
	struct expression e = open_expression(n, "ct");
	add_be32(n, NFTA_CT_DREG, NFT_REG_1);
	add_be32(n, NFTA_CT_KEY, NFT_CT_STATE);
	close_expression(n, e);
	mask_register(n, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	compare(n, NFT_CMP_NEQ, &zero, sizeof zero);
}

static void match_protocol(struct nft *n, uint8_t protocol)
{
	load_meta(n, NFT_REG_1, NFT_META_L4PROTO);
	compare(n, NFT_CMP_EQ, &protocol, sizeof protocol);
}

void nft_match_loopback(struct nft *n)
{
	const uint32_t lo = 1; /* LOOPBACK_IFINDEX of the kernel */
	load_meta(n, NFT_REG_1, NFT_META_IIF);
	compare(n, NFT_CMP_EQ, &lo, sizeof lo);
}

void nft_match_group(struct nft *n, uint32_t group)
{
	load_meta(n, NFT_REG_1, NFT_META_IIFGROUP);
	compare(n, NFT_CMP_EQ, &group, sizeof group);
}

void nft_match_port(struct nft *n, uint8_t protocol, uint16_t port)
{
	const uint16_t wire = htons(port);
	match_protocol(n, protocol);
	load_payload(n, NFT_REG_1, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof wire);
	compare(n, NFT_CMP_EQ, &wire, sizeof wire);
}

void nft_match_neighbours(struct nft *n)
{
	const uint8_t first = ND_ROUTER_SOLICIT, last = ND_REDIRECT;
	match_protocol(n, IPPROTO_ICMPV6);
	load_payload(n, NFT_REG_1, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof first);
	compare(n, NFT_CMP_GTE, &first, sizeof first);
	compare(n, NFT_CMP_LTE, &last, sizeof last);
}

static void add_verdict(struct nft *n, uint32_t verdict)
{
	struct expression e = open_expression(n, "immediate");
	add_be32(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	size_t data = open_list(n, NFTA_IMMEDIATE_DATA), code = open_list(n, NFTA_DATA_VERDICT);
	add_be32(n, NFTA_VERDICT_CODE, verdict);
	close_list(n, code);
	close_list(n, data);
	close_expression(n, e);
}

void nft_accept(struct nft *n)
{
	add_verdict(n, NF_ACCEPT);
}

void nft_drop(struct nft *n)
{
	add_verdict(n, NF_DROP);
}

void nft_masquerade(struct nft *n)
{
	close_expression(n, open_expression(n, "masq"));
}

static void load_value(struct nft *n, enum nft_registers to, const void *data, size_t size)
{
	struct expression e = open_expression(n, "immediate");
	add_be32(n, NFTA_IMMEDIATE_DREG, to);
	add_value(n, NFTA_IMMEDIATE_DATA, data, size);
	close_expression(n, e);
}

void nft_destination(struct nft *n, uint32_t address, uint16_t port)
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
