/* SPDX-License-Identifier: Apache-2.0
 * Replays: answers the requests of the replayer, a process inside. Its one operation that matches
 * the armed event succeeds without touching the host. No other request of it changes anything. The
 * process id in the request is all that identifies the replayer. Root inside can forge that id, and
 * gains a false success for a change that the host has made already. */
#pragma once

#include "fsd/events/events.h"
#include "fsd/request/request.h"

/* Compares an event with the host's present state and fills the replay; ret->type is the whole mode
 * for the agent. 1, or 0 when there is nothing left to report. */
int replay_prepare(struct events *e, const struct event *event, struct armed *ret);
/* Answers a request of the replayer. handle answers it for every other process; its result, or
 * -errno. */
int replay_serve(struct events *e, struct request *q, int (*handle)(struct request *q), int mutates);
