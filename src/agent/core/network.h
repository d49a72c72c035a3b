/* SPDX-License-Identifier: Apache-2.0
 * The machine's network, set up without any tool: loopback, one interface, its address and the
 * default route. */
#pragma once

#include <netinet/in.h>

#include "agent/core/boot_request.h"
#include "agent/core/netlink.h"
#include "base/error.h"

int network_apply(const struct boot_network *n, struct error **err); /* n->device NULL: only loopback */
/* to another network namespace, where it keeps its name */
int network_move(const char *device, int netns, struct error **err);
/* Parses "10.77.0.2/24" (network byte order): 0 or -EINVAL. */
int network_parse_cidr(const char *text, uint32_t *ret_address, uint8_t *ret_prefix);
int network_parse_cidr6(const char *text, struct in6_addr *ret_address, uint8_t *ret_prefix);
/* Adds a message that gives the interface an address; one that sets the default route, which
 * replaces another. Addresses in network byte order. */
void network_add_address(struct netlink *n, int index, uint32_t address, uint8_t prefix);
void network_add_default_route(struct netlink *n, int index, uint32_t gateway);
/* The same for IPv6. The address is used without asking whether a neighbour has it. */
void network_add_address6(struct netlink *n, int index, const struct in6_addr *address, uint8_t prefix);
void network_add_default_route6(struct netlink *n, int index, const struct in6_addr *gateway);
