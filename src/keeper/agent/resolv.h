/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: follows the host's resolv.conf and time zone. */
#pragma once

#include "keeper/keeper.h"

struct resolv_watch;
int resolv_watch_new(struct keeper *k, struct resolv_watch **ret);
void resolv_watch_free(struct resolv_watch *w);
/* Tells the agent when the host's resolver is another than it was told last. NULL is fine. */
void resolv_watch_push(struct resolv_watch *w);
