/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: sockets of the host that the inside may reach. */
#pragma once

#include "keeper/keeper.h"

struct lent_sockets;
void lent_sockets_free(struct lent_sockets *l);
/* Connects to the socket of this id: *ret_fd, -ENOENT for an id that nothing has, -EBUSY when it
 * has as many connections as it may, or -errno of connect(2). */
int lent_socket_connect(struct keeper *k, uint32_t id, int *ret_fd);
