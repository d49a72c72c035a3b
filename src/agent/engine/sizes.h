/* SPDX-License-Identifier: Apache-2.0
 * The room that containers and volumes take. A worker counts it, as trees may be large. */
#pragma once

#include "agent/engine/engine.h"

/* The wish of a request: ids of containers, names of volumes. */
struct sizes_wish {
	struct strv containers, volumes;
};
void sizes_wish_done(struct sizes_wish *w);
#define AUTO_SIZES_WISH CLEANUP(sizes_wish_done)

struct sizes;                                                       /* while it is borrowed */
uint64_t sizes_of_container(const struct sizes *s, const char *id); /* bytes on the disk; 0 if it was not counted */
uint64_t sizes_of_volume(const struct sizes *s, const char *name);

/* Calls then() for this request when all is counted, unless its client is gone by then. The wish is
 * taken. Answers with an error itself. */
typedef void (*sizes_fn)(struct engine *e, struct http_exchange *x, const char *name, const struct sizes *s);
void sizes_count(struct engine *e, struct http_exchange *x, const char *name, struct sizes_wish *wish, sizes_fn then);
