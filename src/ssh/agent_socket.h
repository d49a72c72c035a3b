/* SPDX-License-Identifier: Apache-2.0
 * The client's ssh-agent as a socket of the host, which a session lends to the machine. */
#pragma once

#include "ssh/connection.h"

struct agent_socket;

/* Listens for connections; each becomes a channel to the client's agent. 0 or -errno. */
int agent_socket_new(struct connection *c, struct agent_socket **ret, struct error **err);
const char *agent_socket_path(const struct agent_socket *a);
/* Deletes the name: the keeper has opened the socket. */
void agent_socket_hide(struct agent_socket *a);
void agent_socket_free(struct agent_socket *a); /* NULL is fine */
