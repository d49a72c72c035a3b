/* SPDX-License-Identifier: Apache-2.0
 * Messages of the DNS (RFC 1035), as far as the resolver of containers needs them: it answers for
 * names of containers by itself and hands over all else. Pure; queries are hostile. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER = 12,
	DNS_NAME_MAX = 253,   /* as text */
	DNS_QUERY_MAX = 4096, /* with EDNS and its options */
	DNS_UDP_MAX = 512,    /* of an answer of our own by UDP */
	DNS_MESSAGE_MAX = 65535,
};

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28 };
enum dns_code { DNS_NO_ERROR, DNS_MALFORMED, DNS_SERVER_FAILURE, DNS_NO_SUCH_NAME, DNS_NOT_IMPLEMENTED };

struct dns_query {
	const uint8_t *bytes; /* borrowed */
	size_t size;          /* of header and question */
	uint16_t type, class;
	char name[DNS_NAME_MAX + 1]; /* in lower case, without a dot at the end; "" for the root */
	int is_plain;                /* letters, digits, "-" and "_" alone */
};

/* 0; -EBADMSG: no query, to which nothing is answered; -EINVAL: dns_answer() is to answer
 * DNS_MALFORMED, and -EOPNOTSUPP DNS_NOT_IMPLEMENTED: nothing but the header is known then. */
int dns_parse(const void *data, size_t size, struct dns_query *ret);
/* The address of "2.0.18.172.in-addr.arpa", in host byte order: 0 or -EINVAL. */
int dns_parse_reverse(const char *name, uint32_t *ret);
int dns_parse_reverse6(const char *name, struct in6_addr *ret); /* the same of "...ip6.arpa" */

/* Write an answer and return its size. max: at least DNS_UDP_MAX; addresses that do not fit are
 * left out, and the answer says that it is truncated. */
size_t dns_answer(const struct dns_query *q, enum dns_code code, uint8_t *out);
/* type: DNS_A or DNS_AAAA, whose addresses are as on the wire, one behind the other. */
size_t dns_answer_addresses(const struct dns_query *q, enum dns_type type, const void *addresses, size_t count,
    uint8_t *out, size_t max);
size_t dns_answer_name(const struct dns_query *q, const char *name, uint8_t *out, size_t max);

uint16_t dns_id(const uint8_t *message);
void dns_set_id(uint8_t *message, uint16_t id);
/* Whether a server's message answers this query: the same id and question. */
int dns_is_answer(const struct dns_query *q, uint16_t id, const uint8_t *answer, size_t size);
