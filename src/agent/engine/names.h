/* SPDX-License-Identifier: Apache-2.0
 * The names that a container can look up: those of the containers on its own networks, and of no
 * other. The default bridge has none, as in Docker. */
#pragma once

#include "agent/engine/networks.h"

enum { NAMES_MAX = 512 };

/* The endpoints of a name in lower case, "NAME" or "NAME.NETWORK": how many, at most `max`. The
 * first of several is another one each time. -ENOENT: there is no such name. */
int names_find(const struct container *c, const char *name, const struct docker_endpoint **ret, size_t max);
/* "NAME.NETWORK" of an address, or of an IPv6 one where that is 0; owned, or NULL. */
char *names_reverse(const struct container *c, uint32_t address, const struct in6_addr *address6);
