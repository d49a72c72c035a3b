/* SPDX-License-Identifier: Apache-2.0
 * The resolver of one container, at 127.0.0.11 in its network namespace, for containers on a user's
 * network. The sockets are the container's own, so it sees the names of its networks alone; what is
 * no name of a container goes to the machine's name servers, or those of --dns. */
#pragma once

#include "agent/engine/engine.h"

void resolver_start(struct container *c, struct resolver_sockets *sockets); /* takes the sockets */
void resolver_stop(struct container *c);
