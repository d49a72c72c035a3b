/* SPDX-License-Identifier: Apache-2.0
 * IPv4 subnets of container networks, and the addresses in one. Addresses are in host byte order;
 * only netlink messages and text have another. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* SUBNET_WIDEST: the shortest prefix of a subnet, and of a route that a subnet has to avoid. */
enum { SUBNET_WIDEST = 8, SUBNET_NARROWEST = 30, ADDRESS_TEXT_MAX = 16 };

struct subnet {
	uint32_t base; /* without host bits */
	uint8_t prefix;
};

/* Parses "172.17.0.0/16": 0, or -EINVAL, also for host bits and a prefix out of bounds. */
int subnet_parse(const char *text, struct subnet *ret);
char *subnet_format(const struct subnet *s); /* owned */
int subnet_contains(const struct subnet *s, uint32_t address);
int subnet_overlaps(const struct subnet *a, const struct subnet *b);
/* Chooses `wish` (may be NULL), or else the first of Docker's default subnets (172.17.0.0/16 to
 * 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20), and then of 10.224.0.0/24 to
 * 10.239.255.0/24, that overlaps none of those taken. 0, or
 * -EADDRNOTAVAIL. */
int subnet_choose(const struct subnet *wish, const struct subnet *taken, size_t count, struct subnet *ret);
/* Reads the routes of the thread's network namespace that a subnet has to avoid: those with a
 * prefix of at least SUBNET_WIDEST, because one that is wider gives way to the subnet's own route,
 * and not those through the interface `except` (NULL: none). Owned by the caller. 0 or -errno. */
int subnet_read_routes(const char *except, struct subnet **ret, size_t *ret_count);

int address_parse(const char *text, uint32_t *ret); /* 0 or -EINVAL */
void address_format(uint32_t address, char ret[static ADDRESS_TEXT_MAX]);

/* The addresses of one subnet. The first (the network) and the last (broadcast) are never given
 * out. A restarted engine makes the pool again and claims what its records have. */
struct address_pool;
struct address_pool *address_pool_new(const struct subnet *s); /* owned */
void address_pool_free(struct address_pool *p);
DEFINE_CLEANUP(struct address_pool, address_pool_free)
#define AUTO_ADDRESS_POOL CLEANUP(address_pool_freep)
/* Takes the lowest free address: 0, or -ENOSPC. */
int address_pool_take(struct address_pool *p, uint32_t *ret);
/* The same among those of a subnet in it: 0, -ENOSPC, or -ERANGE if it is outside. */
int address_pool_take_in(struct address_pool *p, const struct subnet *in, uint32_t *ret);
/* Takes this one: 0, -ERANGE if it is no host's address of the subnet, or -EADDRINUSE. */
int address_pool_claim(struct address_pool *p, uint32_t address);
/* Gives an address back; one that is free already is fine. */
void address_pool_release(struct address_pool *p, uint32_t address);
size_t address_pool_taken(const struct address_pool *p);
