/* SPDX-License-Identifier: Apache-2.0
 * Requests that wait for a container's end: wait, run, stop, kill and rm.
 *
 * The head of an answer to `wait` goes out at once, since clients start the container only then. */
#include "agent/engine/engine.h"
#include "base/alloc.h"

struct json_object *waiters_answer(const struct container *c)
{
	struct json_object *o = json_object_new_object();
	json_add_i64(o, "StatusCode", c->record.exit_code);
	return o;
}

static void waiter_free(struct waiter *w)
{
	for (struct waiter **at = &w->container->waiters; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	free(w);
}

static void on_gone(void *data)
{
	struct waiter *w = data;
	struct container *c = w->container;
	int holds = w->holds;
	waiter_free(w);
	if (!holds)
		return;
	c->drop_volumes = 1;
	container_remove(c);
}

static int is_streamed(const struct waiter *w)
{
	return w->kind == WAIT_EXIT || w->kind == WAIT_REMOVED;
}

void waiters_add(struct container *c, struct http_exchange *x, enum wait_kind kind)
{
	struct waiter *w = xnew(struct waiter);
	*w = (struct waiter){ .container = c, .exchange = x, .kind = kind, .next = c->waiters };
	c->waiters = w;
	http_exchange_on_closed(x, on_gone, w);
	if (is_streamed(w))
		http_stream_begin(x, 200);
}

void waiters_hold(struct container *c, struct http_exchange *x)
{
	waiters_add(c, x, WAIT_REMOVED);
	c->waiters->holds = 1;
}

void waiters_started(struct container *c)
{
	struct http_exchange *x = TAKE_PTR(c->starter);
	if (x && c->starter_kind != WAIT_NOT)
		waiters_add(c, x, c->starter_kind);
	else
		engine_answer(x, 0, NULL);
}

void waiters_tell(struct container *c, int removed)
{
	for (struct waiter *w = c->waiters, *next; w; w = next) {
		struct http_exchange *x = w->exchange;
		int streamed = is_streamed(w);
		next = w->next;
		if (!removed && (w->kind == WAIT_REMOVED || w->kind == WAIT_GONE))
			continue;
		http_exchange_on_closed(x, NULL, NULL);
		waiter_free(w);
		if (streamed) {
			http_stream_json(x, waiters_answer(c));
			http_stream_end(x);
		} else {
			http_respond(x, 204, NULL, NULL, 0);
		}
	}
}
