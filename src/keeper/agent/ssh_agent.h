/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: the callers' ssh-agents that sessions may reach. */
#pragma once

#include "keeper/keeper.h"

struct ssh_agents;
/* A descriptor (O_PATH) of the socket at this path. -EPERM and a text for the user: the machine
 * could have bent the way to it. */
int ssh_socket_open(const struct keeper *k, const char *path, struct error **err);
void ssh_agents_free(struct ssh_agents *a);
/* Connects to the socket of this id: *ret_fd, -ENOENT for an id that no session has, or -EBUSY when
 * it has as many connections as it may. */
int ssh_agent_connect(struct keeper *k, uint32_t id, int *ret_fd);
