/* SPDX-License-Identifier: Apache-2.0
 * What the replayer, a process inside, asks for. Its one operation that matches the armed event is
 * answered as if it were carried out, and nothing else that it asks for changes anything. A request
 * is believed to be its by the process id alone, which root inside can forge: it then gets a false
 * success for what has happened on the host already, and no more. */
#pragma once

#include "fsd/events/events.h"
#include "fsd/request/request.h"

/* Looks at the host once more and fills what is to be replayed; ret->type is the whole mode that
 * the agent is told. 1, or 0 when there is nothing to tell any more. */
int replay_prepare(struct events *e, const struct event *event, struct armed *ret);
/* Answers a request of the replayer's; handle is what answers it for everybody else. */
int replay_serve(struct events *e, struct request *q, int (*handle)(struct request *q), int mutates);
