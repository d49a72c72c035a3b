/* SPDX-License-Identifier: Apache-2.0
 * See events.h. */
#include "agent/engine/events.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "docker/filters.h"

enum { EVENTS_KEPT = 256, LISTENERS_MAX = 128, TEXT_MAX = 4096 };
#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

struct listener {
	struct listener *next;
	struct event_log *log;
	struct http_exchange *exchange;
	struct json_object *filters;
	struct source *timer; /* NULL: without end */
};

struct event_log {
	struct json_object *kept[EVENTS_KEPT]; /* a ring */
	size_t count;                          /* of all that there were */
	struct listener *listeners;
	size_t listener_count;
};

static struct event_log *log_of(struct engine *e)
{
	if (!e->events)
		e->events = xcalloc(1, sizeof *e->events);
	return e->events;
}

/* ---- filters ---- */

static const char *const known_filters[] = { "config", "container", "daemon", "event", "image", "label", "network",
	"node", "plugin", "scope", "secret", "service", "type", "volume", NULL };

static const char *text_of(struct json_object *o, const char *key)
{
	const char *text = NULL;
	return o && json_get_string(o, key, &text, NULL) == 0 ? text : "";
}

/* An image is found by its name with the tag and without. */
static int is_image(struct json_object *event, struct json_object *attributes, const char *wish)
{
	int by_container = streq(text_of(event, "Type"), "container");
	const char *name = text_of(attributes, by_container ? "image" : "name");
	const char *colon = strrchr(name, ':');
	size_t bare = colon && !strchr(colon, '/') ? (size_t)(colon - name) : strlen(name);
	return streq(name, wish) || (strlen(wish) == bare && strncmp(name, wish, bare) == 0) ||
	       (streq(text_of(event, "Type"), "image") && streq(text_of(event, "id"), wish));
}

static int is_match(struct json_object *event, struct json_object *actor, const char *key, const char *wish)
{
	struct json_object *attributes = NULL;
	const char *action = text_of(event, "Action"), *id = text_of(actor, "ID");
	json_get_object(actor, "Attributes", &attributes, NULL);
	if (streq(key, "event")) /* "exec_create: sh" is found as "exec_create" */
		return streq(action, wish) ||
		       (startswith(action, wish) && startswith(action + strlen(wish), ": ") != NULL);
	if (streq(key, "type"))
		return streq(text_of(event, "Type"), wish);
	if (streq(key, "scope"))
		return streq(text_of(event, "scope"), wish);
	if (streq(key, "image"))
		return is_image(event, attributes, wish);
	if (streq(key, "daemon") || !*wish)
		return 0;
	/* As Docker does, whatever the type: a network's event is not one of its containers. */
	return startswith(id, wish) || startswith(text_of(attributes, "name"), wish);
}

/* Of one filter one value must match, of labels all. */
static int passes(struct json_object *event, struct json_object *filters)
{
	struct json_object *actor = NULL, *attributes = NULL;
	int pass = 1;
	json_get_object(event, "Actor", &actor, NULL);
	json_get_object(actor, "Attributes", &attributes, NULL);
	if (!filters)
		return 1;
	json_object_object_foreach(filters, key, value)
	{
		AUTO_STRV struct strv wishes = { 0 };
		(void)value;
		if (streq(key, "label"))
			continue;
		docker_filters_get(filters, key, &wishes);
		int any = !wishes.count;
		for (size_t i = 0; i < wishes.count; i++)
			any |= is_match(event, actor, key, wishes.items[i]);
		pass &= any;
	}
	return pass && docker_filters_match_labels(filters, attributes);
}

/* ---- emitting ---- */

void event_emit(struct engine *e, const char *type, const char *action, const char *id, struct json_object *attributes)
{
	struct event_log *log = log_of(e);
	struct json_object *o = json_object_new_object(), *actor = json_object_new_object();
	int64_t now = container_now();
	if (streq(type, "container") || streq(type, "image")) {
		json_add_string(o, "status", action);
		if (*id)
			json_add_string(o, "id", id);
		if (*id && streq(type, "container"))
			json_add_string(o, "from", text_of(attributes, "image"));
	}
	json_add_string(o, "Type", type);
	json_add_string(o, "Action", action);
	json_add_string(actor, "ID", id);
	json_add(actor, "Attributes", attributes ? attributes : json_object_new_object());
	json_add(o, "Actor", actor);
	json_add_string(o, "scope", "local");
	json_add_i64(o, "time", now / NS_PER_S);
	json_add_i64(o, "timeNano", now);
	for (struct listener *l = log->listeners; l; l = l->next)
		if (passes(o, l->filters))
			http_stream_json(l->exchange, json_object_get(o));
	struct json_object **place = &log->kept[log->count++ % EVENTS_KEPT];
	json_object_put(*place);
	*place = o;
}

void event_container_more(const struct container *c, const char *action, struct json_object *more)
{
	AUTO_JSON struct json_object *owned = more;
	struct json_object *attributes = json_object_new_object();
	if (c->record.body.labels) {
		json_object_object_foreach(c->record.body.labels, key, value)
		    json_object_object_add(attributes, key, json_object_get(value));
	}
	if (owned) {
		json_object_object_foreach(owned, name, text)
		    json_object_object_add(attributes, name, json_object_get(text));
	}
	json_object_object_add(attributes, "image", json_object_new_string(c->record.body.image));
	json_object_object_add(attributes, "name", json_object_new_string(c->record.name));
	event_emit(c->engine, "container", action, c->record.id, attributes);
}

void event_container(const struct container *c, const char *action, const char *key, const char *value)
{
	struct json_object *more = key ? json_object_new_object() : NULL;
	if (key)
		json_add_string(more, key, value);
	event_container_more(c, action, more);
}

void event_container_number(const struct container *c, const char *action, const char *key, int64_t value)
{
	AUTOFREE char *text = xasprintf("%lld", (long long)value);
	event_container(c, action, key, text);
}

void event_prune(struct engine *e, const char *type, uint64_t reclaimed)
{
	struct json_object *attributes = json_object_new_object();
	AUTOFREE char *text = xasprintf("%llu", (unsigned long long)reclaimed);
	json_add_string(attributes, "reclaimed", text);
	event_emit(e, type, "prune", "", attributes);
}

/* ---- POST /holm/event ---- */

void engine_take_event(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct json_object *o = http_exchange_json(x, &err), *attributes = NULL;
	const char *action = text_of(o, "Action"), *id = text_of(o, "ID"), *type = text_of(o, "Type");
	int is_prune = streq(action, "prune");
	if (!o || !*action || (!*id && !is_prune) || strlen(action) > TEXT_MAX || strlen(id) > TEXT_MAX) {
		engine_error(x, -EINVAL, err);
		return;
	}
	json_get_object(o, "Attributes", &attributes, NULL);
	const struct container *c = streq(type, "container") ? container_find(e, id, NULL) : NULL;
	if (c)
		event_container_more(c, action, attributes ? json_object_get(attributes) : NULL);
	else
		event_emit(e, streq(type, "builder") ? "builder" : "image", action, id,
		    attributes ? json_object_get(attributes) : NULL);
	http_respond(x, 204, NULL, NULL, 0);
}

/* ---- GET /events ---- */

static void listener_free(struct listener *l)
{
	for (struct listener **at = &l->log->listeners; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			break;
		}
	l->log->listener_count--;
	source_free(l->timer);
	json_object_put(l->filters);
	free(l);
}

static void on_closed(void *data)
{
	listener_free(data);
}

static void on_until(struct source *s, void *data)
{
	struct listener *l = data;
	struct http_exchange *x = l->exchange;
	http_exchange_on_closed(x, NULL, NULL);
	listener_free(l);
	http_stream_end(x);
}

/* The kept ones that are as old as asked for. */
static void tell_kept(const struct event_log *log, struct listener *l, int64_t since, int64_t until)
{
	size_t first = log->count > EVENTS_KEPT ? log->count - EVENTS_KEPT : 0;
	for (size_t i = first; since && i < log->count; i++) {
		struct json_object *o = log->kept[i % EVENTS_KEPT];
		int64_t time = 0;
		json_get_i64(o, "timeNano", &time, NULL);
		if (time >= since && (!until || time <= until) && passes(o, l->filters))
			http_stream_json(l->exchange, json_object_get(o));
	}
}

static void listen_to(struct event_log *log, struct listener *l, int64_t until)
{
	int64_t left = until - container_now();
	if (until && left <= 0) {
		http_stream_end(l->exchange);
		json_object_put(l->filters);
		free(l);
		return;
	}
	l->next = log->listeners;
	log->listeners = l;
	log->listener_count++;
	http_exchange_on_closed(l->exchange, on_closed, l);
	uint64_t ms = (uint64_t)(left / NS_PER_MS) + 1;
	if (until && loop_add_timer(http_exchange_loop(l->exchange), clock_deadline(ms), on_until, l, &l->timer) < 0)
		on_until(NULL, l);
}

void engine_events(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_JSON struct json_object *filters = NULL;
	AUTOFREE char *text = engine_query(x, "filters"), *since = engine_query(x, "since"),
		      *until = engine_query(x, "until");
	struct event_log *log = log_of(e);
	int r = docker_filters_parse(text, known_filters, &filters, &err);
	if (r == 0 && log->listener_count >= LISTENERS_MAX)
		r = error_set(&err, EBUSY, "too many clients wait for events");
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	struct listener *l = xnew(struct listener);
	*l = (struct listener){ .log = log, .exchange = x, .filters = TAKE_PTR(filters) };
	http_stream_begin(x, 200);
	tell_kept(log, l, docker_parse_time(since), docker_parse_time(until));
	listen_to(log, l, docker_parse_time(until));
}
