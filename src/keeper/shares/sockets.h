/* SPDX-License-Identifier: Apache-2.0
 * Mounts of sockets in a machine that has a kernel of its own: the share server can show a socket,
 * but nobody answers there. So the agent makes a socket inside, and each connection to it becomes
 * one of the keeper's to the host's socket. */
#pragma once

#include <sys/stat.h>

#include "keeper/keeper_private.h"

/* Lends the socket (O_PATH; taken) to the inside. It is the one that is there now, whatever its
 * name leads to later. */
void share_socket_lend(struct keeper *k, struct keeper_share *s, int socket, const struct stat *st);
/* Ends all connections; a share that is no lent socket: nothing. */
void share_socket_take_back(struct keeper_share *s);
/* Whether the share is a lent socket, which the isolation does not know. */
int share_socket_is_lent(const struct keeper_share *s);
/* Adds what the agent has to know to the share's description. */
void share_socket_describe(const struct keeper_share *s, struct json_object *into);
