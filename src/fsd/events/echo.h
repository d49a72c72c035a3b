/* SPDX-License-Identifier: Apache-2.0
 * Telling what the guest does itself from what the host does: the guest's own kernel has told of
 * the former. */
#pragma once

#include "fsd/events/events.h"
#include "fsd/request/request.h"

/* What a request of the guest's changes. */
struct echo_change {
	uint32_t names, states; /* events of inotify(7) that it makes: for its names, for its files */
	struct request_names at;
	struct file_id ids[4];
	unsigned id_count;
};

/* Carries out a request, and takes in what happened before it and with it. */
int echo_serve(struct events *e, struct request *q, int (*handle)(struct request *q));
/* Whether the event is one that the guest caused. */
int echo_explains(struct watch_table *t, const struct watch *w, uint32_t mask, const char *name);
