/* SPDX-License-Identifier: Apache-2.0
 * Channels that carry a stream of bytes to a socket: connections of the client's to a port inside
 * (-L, -D), and connections of the inside's to the client (its ssh-agent, -R). */
#pragma once

#include "base/buffer.h"
#include "ssh/connection.h"

struct forward;

/* Dials for a direct-tcpip channel (RFC 4254, 7.2), and answers when it is known how that went.
 * Takes the message. */
void forward_dial(struct connection *c, ssh_message m);
/* Opens a channel to the client's ssh-agent for a connection; takes fd. */
void forward_to_agent(struct connection *c, int fd);
/* Opens a channel to the client for a connection to a port that the client listens on inside (RFC
 * 4254, 7.2): the host and port of its request, and where the connection comes from. Takes fd, of
 * which `early` was read already (borrowed). */
void forward_from_port(struct connection *c, int fd, const struct buffer *early, const char *host, int port,
    const char *origin, int origin_port);
/* Whether a forward has the channel, of which nothing but the address is looked at. */
int forward_has_channel(const struct connection *c, ssh_channel channel);
struct forward *forward_next(const struct forward *f);
void forward_step(struct forward *f); /* as session_step() */
void forward_free(struct forward *f);
