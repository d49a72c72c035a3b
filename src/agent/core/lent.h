/* SPDX-License-Identifier: Apache-2.0
 * A listening unix socket inside, each connection to which becomes a stream to the keeper and one
 * to a socket of the host that the keeper has lent. */
#pragma once

#include "agent/core/agent.h"

struct lent;
/* id: of the keeper's socket; max: connections at once, more are closed. listening: taken, also
 * when it fails (NULL): it must be a socket that listens. */
struct lent *lent_new(struct agent *a, int listening, int64_t id, size_t max);
void lent_free(struct lent *l); /* ends the connections; NULL is fine */
