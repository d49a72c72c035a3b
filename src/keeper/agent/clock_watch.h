/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: notices that the host's clock jumped, by hand or because the host slept,
 * and tells the agent. */
#pragma once

#include "keeper/keeper.h"

struct host_clock;
int clock_watch_new(struct keeper *k, struct host_clock **ret);
void clock_watch_push(struct host_clock *c, const char *why); /* sets the machine's clock; c may be NULL */
void clock_watch_free(struct host_clock *c);
