/* SPDX-License-Identifier: Apache-2.0
 * The queue of the host's changes that the guest has not heard of, in their order. An event that a
 * later one makes pointless leaves the queue. */
#pragma once

#include <stdint.h>

#include "base/share_events.h"

enum { EVENT_QUEUE_MAX = 1024 };

struct event {
	enum share_operation operation;
	int directory; /* the changed file is a directory */
	uint64_t node, node2;
	uint64_t
	    file; /* SHARE_MODIFY, _ATTRIB, _CLOSE_WRITE: node id of the file, if it has a watch of its own; else 0 */
	const char *name, *name2; /* name2, node2: SHARE_RENAME only */
	struct event *next, *previous;
	char text[]; /* the names */
};

struct event_queue {
	struct event *first, *last;
	unsigned count;
};

/* Copies the names, of at most SHARE_NAME_MAX bytes. For free(3), or event_queue_add(). */
struct event *event_new(enum share_operation operation, uint64_t node, const char *name, uint64_t node2,
    const char *name2);
/* Takes the event. 0, also when the event says nothing new or cancels one that still waits (a file
 * that came and went); -ENOBUFS: the queue is full, the event is lost. */
int event_queue_add(struct event_queue *q, struct event *e);
/* Puts an event back at the head of the queue. */
void event_queue_put_back(struct event_queue *q, struct event *e);
/* Takes the oldest event, for free(3); NULL when there is none. */
struct event *event_queue_take(struct event_queue *q);
/* 1 if the event concerns this name, its second name included; else 0. */
int event_is_about(const struct event *e, uint64_t node, const char *name);
/* 1 if an event about this name waits, else 0. */
int event_queue_has(const struct event_queue *q, uint64_t node, const char *name);
void event_queue_clear(struct event_queue *q);
