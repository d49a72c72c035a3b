/* SPDX-License-Identifier: Apache-2.0
 * The queue holds two kinds of events. Names (created, removed, renamed) keep their order. Of
 * states (content, attributes) the last is enough, because the guest then looks at the file. So a
 * state that waits already is not added again, unless the name has come to mean another file
 * since. */
#include "fsd/events/queue.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/macros.h"

struct event *event_new(enum share_operation operation, uint64_t node, const char *name, uint64_t node2,
    const char *name2)
{
	size_t size = strlen(name) + 1, size2 = name2 ? strlen(name2) + 1 : 0;
	struct event *e = xmalloc(sizeof *e + size + size2);
	*e = (struct event){ .operation = operation, .node = node, .node2 = node2 };
	memcpy(e->text, name, size);
	e->name = e->text;
	if (name2)
		e->name2 = memcpy(e->text + size, name2, size2);
	return e;
}

static void unlink_event(struct event_queue *q, struct event *e)
{
	*(e->previous ? &e->previous->next : &q->first) = e->next;
	*(e->next ? &e->next->previous : &q->last) = e->previous;
	q->count--;
}

static int is_state(const struct event *e)
{
	return e->operation == SHARE_MODIFY || e->operation == SHARE_ATTRIB || e->operation == SHARE_CLOSE_WRITE;
}

int event_is_about(const struct event *e, uint64_t node, const char *name)
{
	return (e->node == node && streq(e->name, name)) || (e->name2 && e->node2 == node && streq(e->name2, name));
}

static int is_about(const struct event *e, const struct event *other)
{
	return event_is_about(e, other->node, other->name);
}

int event_queue_has(const struct event_queue *q, uint64_t node, const char *name)
{
	const struct event *e = q->first;
	while (e && !event_is_about(e, node, name))
		e = e->next;
	return e != NULL;
}

/* 1 if e, a state or a removal, waits already; else 0. */
static int is_known(const struct event_queue *q, const struct event *e)
{
	for (struct event *o = q->last; o; o = o->previous) {
		if (!is_about(o, e))
			continue;
		if (o->operation == e->operation) {
			if (e->file)
				o->file = e->file;
			return 1;
		}
		if (!is_state(o))
			return 0;
	}
	return 0;
}

/* Removes the waiting events of a file that came and went. 1, or 0 when the file was there
 * before. */
static int take_back(struct event_queue *q, const struct event *gone)
{
	struct event *made = q->last;
	while (made && !(is_about(made, gone) && !is_state(made)))
		made = made->previous;
	if (!made || made->operation != SHARE_CREATE)
		return 0;
	for (struct event *o = made, *next; o; o = next) {
		next = o->next;
		if (is_about(o, gone)) {
			unlink_event(q, o);
			free(o);
		}
	}
	return 1;
}

int event_queue_add(struct event_queue *q, struct event *e)
{
	int removal = e->operation == SHARE_REMOVE;
	if (((is_state(e) || removal) && is_known(q, e)) || (removal && take_back(q, e))) {
		free(e);
		return 0;
	}
	if (q->count >= EVENT_QUEUE_MAX) {
		free(e);
		return -ENOBUFS;
	}
	e->next = NULL;
	e->previous = q->last;
	*(q->last ? &q->last->next : &q->first) = e;
	q->last = e;
	q->count++;
	return 0;
}

void event_queue_put_back(struct event_queue *q, struct event *e)
{
	e->previous = NULL;
	e->next = q->first;
	*(q->first ? &q->first->previous : &q->last) = e;
	q->first = e;
	q->count++;
}

struct event *event_queue_take(struct event_queue *q)
{
	struct event *e = q->first;
	if (!e)
		return NULL;
	q->first = e->next;
	*(e->next ? &e->next->previous : &q->last) = NULL;
	q->count--;
	return e;
}

void event_queue_clear(struct event_queue *q)
{
	for (struct event *e; (e = event_queue_take(q));)
		free(e);
}
