/* SPDX-License-Identifier: Apache-2.0
 * See stack.h. The members are a client's or a record's. Records are hostile: a chain is followed
 * for DEPTH_MAX steps, and each container in it has to have the same image. */
#include "agent/engine/stack.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"
#include "docker/name.h"

enum { DEPTH_MAX = 24, HOLDER_MS = 60 * 1000 };

struct container *stack_below(const struct container *c)
{
	for (struct container *at = c->record.on ? c->engine->containers : NULL; at; at = at->next)
		if (streq(at->record.id, c->record.on))
			return at;
	return NULL;
}

static int is_busy(const struct container *c)
{
	return c->pid || c->ended || c->starting || c->preparing || c->remove;
}

static int check(const struct container *below, const struct record *r, struct error **err)
{
	unsigned depth = 1;
	if (is_busy(below))
		return error_set(err, EBUSY, "container %s has not ended", below->record.id);
	if (!streq(below->record.image_id, r->image_id) ||
	    below->record.body.namespaces.userns != r->body.namespaces.userns)
		return error_set(err, EINVAL, "container %s has another image, or other ids", below->record.id);
	for (const struct container *at = below; (at = stack_below(at));)
		if (++depth > DEPTH_MAX)
			return error_set(err, E2BIG, "too many containers stand on each other");
	return 0;
}

static void set_limit(struct json_object *host, const char *key, uint64_t value)
{
	int64_t given = 0;
	json_get_i64(host, key, &given, NULL);
	if (!given)
		json_add_u64(host, key, value);
}

static int is_of_processes(struct json_object *ulimit)
{
	const char *name = NULL;
	return json_object_is_type(ulimit, json_type_object) && json_get_string(ulimit, "Name", &name, NULL) == 0 &&
	       streq(name, "nproc");
}

/* The kernel counts the processes of a user in a user namespace, and a container has one of its
 * own. Where no cgroup limits them, a resource limit does. */
static void set_ulimit(struct json_object *host, uint64_t most)
{
	struct json_object *list = NULL, *o = json_object_new_object();
	struct rlimit now = { .rlim_max = most };
	int64_t wanted = 0;
	if (json_get_i64(host, "PidsLimit", &wanted, NULL) == 0 && wanted > 0)
		most = (uint64_t)wanted;
	getrlimit(RLIMIT_NPROC, &now);
	most = MIN(most, (uint64_t)now.rlim_max); /* nobody here can raise it */
	if (json_get_array(host, "Ulimits", &list, NULL) < 0) {
		json_object_object_del(host, "Ulimits");
		list = json_object_new_array();
		json_add(host, "Ulimits", list);
	}
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (is_of_processes(json_object_array_get_idx(list, i))) {
			json_object_put(o);
			return;
		}
	json_add_string(o, "Name", "nproc");
	json_add_u64(o, "Soft", most);
	json_add_u64(o, "Hard", most);
	json_object_array_add(list, o);
}

void stack_limit(const struct engine *e, struct json_object *body)
{
	enum { PARTS = 8, PROCESSES = 16384 };
	struct json_object *host = NULL;
	struct sysinfo now;
	int held = 0;
	if (json_get_bool(body, "HolmHeld", &held, NULL) < 0 || !held ||
	    json_get_object(body, "HostConfig", &host, NULL) < 0)
		return;
	if (e->limits & DOCKER_LIMIT_PIDS)
		set_limit(host, "PidsLimit", PROCESSES);
	else
		set_ulimit(host, PROCESSES);
	if (e->limits & DOCKER_LIMIT_MEMORY && sysinfo(&now) == 0)
		set_limit(host, "Memory", (uint64_t)now.totalram * now.mem_unit / PARTS * (PARTS - 1));
}

int stack_read(struct engine *e, struct json_object *body, struct record *r, struct error **err)
{
	const char *id = NULL;
	json_get_bool(body, "HolmHeld", &r->held, NULL);
	if (json_get_string(body, "HolmOn", &id, NULL) < 0)
		return 0;
	const struct container *below = docker_is_id(id) ? container_find(e, id, err) : NULL;
	if (!below)
		return error_set(err, ENOENT, "No such container: %.64s", id);
	r->on = xstrdup(id);
	return check(below, r, err);
}

int stack_append(const struct container *c, struct buffer *b)
{
	unsigned depth = 0;
	for (const struct container *at = c; at->record.on;) {
		at = stack_below(at);
		if (!at || !streq(at->record.image_id, c->record.image_id) || ++depth > DEPTH_MAX)
			return -ENOENT;
		AUTOFREE char *upper = image_upper(at);
		int r = buffer_appendf(b, ENGINE_CONTAINERS "/%s:", upper);
		if (r < 0)
			return r;
	}
	return 0;
}

int stack_must_wait(const struct container *c)
{
	const struct container *below = stack_below(c);
	return below && below->cleaning;
}

void stack_cleaned(struct engine *e, const char *id)
{
	for (struct container *c = e->containers, *next; c; c = next) {
		next = c->next;
		if (!c->waits_below || !streq(c->record.on, id))
			continue;
		c->waits_below = 0;
		container_go_on(c);
	}
}

static void on_unheld(struct source *s, void *data)
{
	struct container *c = data;
	source_free(TAKE_PTR(c->holder_timer));
	if (!stack_is_held(c))
		container_remove(c);
}

void stack_expect_holder(struct container *c)
{
	if (c->record.held)
		(void)loop_add_timer(c->engine->loop, clock_deadline(HOLDER_MS), on_unheld, c, &c->holder_timer);
}

static int stands_on(const struct container *above, const struct container *c)
{
	const struct container *at = above;
	for (unsigned depth = 0; depth <= DEPTH_MAX && (at = stack_below(at)); depth++)
		if (at == c)
			return 1;
	return 0;
}

int stack_is_used(const struct container *c)
{
	for (const struct container *at = c->engine->containers; at; at = at->next)
		if ((at->pid || at->starting || at->preparing) && stands_on(at, c))
			return 1;
	return 0;
}

int stack_is_at_rest(const struct container *c)
{
	return !is_busy(c) && !c->cleaning && !stack_is_used(c);
}

int stack_is_held(const struct container *c)
{
	for (const struct waiter *w = c->waiters; w; w = w->next)
		if (w->holds)
			return 1;
	return 0;
}
