/* SPDX-License-Identifier: Apache-2.0
 * Shares that are a socket of the host, in a machine that has a kernel of its own: a socket inside
 * that the agent listens on, and the keeper's connections behind it. */
#pragma once

#include "agent/core/agent.h"
#include "base/error.h"

/* Makes the socket, mounts it at AGENT_SHARES/TAG and listens; a share that is no socket, or has it
 * already: nothing. 0 or -errno. */
int share_socket_open(struct agent *a, const struct boot_share *s, struct error **err);
/* The same for all shares of the boot request. */
int share_sockets_open(struct agent *a, struct error **err);
/* Ends it and its connections; its mount stays. */
void share_socket_close(struct agent *a, const char *tag);
/* An agent that was started again: the sockets of the one before have nobody behind them, so new
 * ones take their places in the running machine. */
void share_sockets_renew(struct agent *a);
