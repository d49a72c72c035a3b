/* SPDX-License-Identifier: Apache-2.0
 * Ports inside that lead to the client (-R): tcpip-forward, RFC 4254, 7.1. */
#pragma once

#include "ssh/connection.h"

struct remote;

/* Listens inside, and answers when that is done; takes the message. 0: it is refused, and the
 * message stays the caller's. */
int remote_listen(struct connection *c, ssh_message m);
/* Ends the port that the message names. 0: there is none. */
int remote_cancel(struct connection *c, ssh_message m);
void remote_free(struct remote *r);
