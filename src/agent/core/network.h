/* SPDX-License-Identifier: Apache-2.0
 * The machine's network, set up without any tool: loopback, one interface, its address and the
 * default route. */
#pragma once

#include "agent/core/boot_request.h"
#include "agent/core/netlink.h"
#include "base/error.h"

int network_apply(const struct boot_network *n, struct error **err); /* n->device NULL: only loopback */
/* to another network namespace, where it keeps its name */
int network_move(const char *device, int netns, struct error **err);
/* Parses "10.77.0.2/24" (network byte order): 0 or -EINVAL. */
int network_parse_cidr(const char *text, uint32_t *ret_address, uint8_t *ret_prefix);
/* Adds a message that gives the interface an address; one that sets the default route, which
 * replaces another. Addresses in network byte order. */
void network_add_address(struct netlink *n, int index, uint32_t address, uint8_t prefix);
void network_add_default_route(struct netlink *n, int index, uint32_t gateway);
