/* SPDX-License-Identifier: Apache-2.0
 * Echoes: tells the guest's own changes from the host's. The guest's kernel has reported its own
 * changes already. */
#pragma once

#include "fsd/events/events.h"
#include "fsd/request/request.h"

/* The changes that one request of the guest makes. */
struct echo_change {
	uint32_t names, states; /* inotify(7) events that it causes on its names, on its files */
	struct request_names at;
	struct file_id ids[4];
	unsigned id_count;
};

/* Carries out a request, and reads the inotify queue before and after it. The result of handle. */
int echo_serve(struct events *e, struct request *q, int (*handle)(struct request *q));
/* 1 if the guest caused this event, else 0. */
int echo_explains(struct watch_table *t, const struct watch *w, uint32_t mask, const char *name);
