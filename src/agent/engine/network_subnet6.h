/* SPDX-License-Identifier: Apache-2.0
 * IPv6 subnets of container networks, and addresses in one. A container's address has the same
 * place in the subnet as its IPv4 address in that one's, unless the user chose it: so IPv6 needs no
 * pool of its own. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

enum { SUBNET6_WIDEST = 8, SUBNET6_NARROWEST = 126, ADDRESS6_TEXT_MAX = INET6_ADDRSTRLEN };

struct subnet6 {
	struct in6_addr base; /* without host bits */
	uint8_t prefix;       /* 0: none */
};

/* Parses "fd00:1::/64": 0 or -EINVAL. Bits of a host are left out. */
int subnet6_parse(const char *text, struct subnet6 *ret);
char *subnet6_format(const struct subnet6 *s); /* owned */
int subnet6_contains(const struct subnet6 *s, const struct in6_addr *address);
int subnet6_overlaps(const struct subnet6 *a, const struct subnet6 *b);
/* The address behind the last one. */
struct in6_addr subnet6_behind(const struct subnet6 *s);
/* The address at this place: 0, or -ERANGE if the subnet is smaller. */
int subnet6_at(const struct subnet6 *s, uint64_t place, struct in6_addr *ret);
/* A subnet of 64 bits that nobody else is likely to have (RFC 4193, 3.2.2). */
void subnet6_make(struct subnet6 *ret);

int address6_parse(const char *text, struct in6_addr *ret); /* 0, or -EINVAL, also for :: */
void address6_format(const struct in6_addr *address, char ret[static ADDRESS6_TEXT_MAX]); /* "" for :: */
int address6_is_set(const struct in6_addr *address);
int address6_equal(const struct in6_addr *a, const struct in6_addr *b);
