/* SPDX-License-Identifier: Apache-2.0
 * Sockets in a container whose connections a client of the API takes, for one start, as a build
 * does with an ssh agent.
 *
 * "HolmFiles" of the create names them: "Socket":"UID:GID:MODE" is the owner in the container. POST
 * /containers/ID/socket?name=NAME, an upgrade, waits for a connection inside, is answered then, and
 * carries its bytes. Without such a request a connection inside waits. Nothing of it is in a record
 * but the name, and nothing outlives the run or the engine. */
#pragma once

#include "agent/engine/engine.h"

/* Makes the socket, in the place of one of the same name. A detached mount of it, or -errno. */
int lent_socket_make(struct container *c, const struct docker_mount *m, struct error **err);
/* Ends all of a container's, with their connections. */
void lent_sockets_free(struct container *c);
