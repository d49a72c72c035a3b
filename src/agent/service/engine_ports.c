/* SPDX-License-Identifier: Apache-2.0
 * See engine_ports.h. The keeper gets one request at a time, in the engine's order: it must not
 * see the end of a container after its next start. Nothing here is checked: the keeper trusts the
 * engine no more than the machine. */
#include "agent/service/engine_ports.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "docker/name.h"

enum { CALL_MS = 30 * 1000, QUEUE_MAX = 20000 };

struct port_request {
	struct port_request *next;
	const char *verb; /* static */
	struct json_object *body;
};

struct engine_ports {
	struct agent *agent;
	void (*answer)(struct json_object *o, void *data);
	void *data;
	struct port_request *first, **last;
	size_t count;
	struct http_call *call; /* of the first */
	struct source *deferred;
};

static const char *const verbs[] = { "bind", "open", "close" };

struct engine_ports *engine_ports_new(struct agent *a, void (*answer)(struct json_object *o, void *data), void *data)
{
	struct engine_ports *p = xnew(struct engine_ports);
	*p = (struct engine_ports){ .agent = a, .answer = answer, .data = data };
	p->last = &p->first;
	return p;
}

static void drop_first(struct engine_ports *p)
{
	struct port_request *q = p->first;
	p->first = q->next;
	if (!p->first)
		p->last = &p->first;
	p->count--;
	json_object_put(q->body);
	free(q);
}

static void drop_all(struct engine_ports *p)
{
	if (p->call)
		http_call_cancel(TAKE_PTR(p->call));
	source_free(TAKE_PTR(p->deferred));
	while (p->first)
		drop_first(p);
}

static void next(struct engine_ports *p);

/* The answer to `bind` goes to the engine: {"bound":[..]} or {"error","taken"}. */
static void settle(struct engine_ports *p, int code, struct json_object *body, const struct error *err)
{
	const char *container = NULL;
	struct json_object *o;
	if (code < 0)
		log_warning("the ports of a container: %s", error_text(err, code));
	if (p->answer && streq(p->first->verb, "bind") &&
	    json_get_string(p->first->body, "container", &container, NULL) == 0) {
		o = code == 0 && json_object_is_type(body, json_type_object) ? json_object_get(body) :
									       json_object_new_object();
		if (code < 0)
			json_add_string(o, "error", error_text(err, code));
		json_add_string(o, "container", container);
		json_add_string(o, "ports", "bound");
		p->answer(o, p->data);
	}
	drop_first(p);
}

static void on_done(int code, struct json_object *body, const struct error *err, void *data)
{
	struct engine_ports *p = data;
	p->call = NULL;
	settle(p, code, body, err);
	next(p);
}

static void on_deferred(struct source *s, void *data)
{
	struct engine_ports *p = data;
	AUTO_ERROR struct error *err = NULL;
	source_free(TAKE_PTR(p->deferred));
	int r = error_set(&err, ECONNRESET, "the keeper cannot be asked");
	settle(p, r, NULL, err);
	next(p);
}

/* Sends the first request, unless one is under way. */
static void next(struct engine_ports *p)
{
	static const struct http_call_events events = { .done = on_done };
	struct agent *a = p->agent;
	int fd = -1;
	if (!p->first || p->call || p->deferred)
		return;
	AUTOFREE char *target = xasprintf("/v1/engine/ports/%s", p->first->verb);
	int r = a->to_keeper ? transport_open(a->to_keeper, &fd, NULL) : -ECONNRESET;
	if (r >= 0)
		r = http_call(a->loop, fd, "POST", target, json_object_get(p->first->body), clock_deadline(CALL_MS),
		    &events, p, &p->call);
	if (r < 0 && loop_add_deferred(a->loop, on_deferred, p, &p->deferred) < 0)
		drop_all(p);
}

static void add(struct engine_ports *p, const char *verb, struct json_object *body)
{
	struct port_request *q = xnew(struct port_request);
	*q = (struct port_request){ .verb = verb, .body = body };
	*p->last = q;
	p->last = &q->next;
	p->count++;
	next(p);
}

void engine_ports_message(struct engine_ports *p, struct json_object *o)
{
	const char *verb = NULL, *container = NULL;
	if (json_get_string(o, "ports", &verb, NULL) < 0 || json_get_string(o, "container", &container, NULL) < 0 ||
	    !docker_is_id(container))
		return;
	if (p->count >= QUEUE_MAX) {
		log_warning("the engine asks for ports too often");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (streq(verbs[i], verb))
			add(p, verbs[i], json_object_get(o));
}

void engine_ports_end(struct engine_ports *p)
{
	if (!p)
		return;
	drop_all(p);
	add(p, "close", json_object_new_object());
}
