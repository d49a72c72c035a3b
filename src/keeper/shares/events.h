/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: relays between a share's server and the agent (base/share_events.h). */
#pragma once

#include "base/buffer.h"
#include "base/loop.h"

struct share_events;

/* A relay without the agent's side yet. *ret_server is the server's end (SOCK_SEQPACKET, owned by
 * the caller). 0 or -errno. */
int share_events_new(struct loop *l, struct share_events **ret, int *ret_server);
void share_events_free(struct share_events *e); /* NULL is fine */
DEFINE_CLEANUP(struct share_events, share_events_free)
/* The agent's stream (taken), with what was read of it already (borrowed). It takes the place of
 * the one before. */
void share_events_attach(struct share_events *e, int fd, const struct buffer *early);
