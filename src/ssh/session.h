/* SPDX-License-Identifier: Apache-2.0
 * A session channel (RFC 4254, 6): a command, a shell or a subsystem in the machine. */
#pragma once

#include "ssh/connection.h"

/* Adds a session to the connection, which owns it. Takes the channel. */
void session_new(struct connection *c, ssh_channel channel);
/* The session of the channel, of which nothing but the address is looked at; or NULL. */
struct session *session_find(const struct connection *c, ssh_channel channel);
struct session *session_next(const struct session *s);
/* Does what a request of the client's on the channel says. Whether it is granted. */
int session_request(struct session *s, ssh_message m);
/* Moves what can be moved between the client and the machine; may free s. */
void session_step(struct session *s);
/* Closes the channel. The command, if it still runs, gets SIGHUP. */
void session_free(struct session *s);
