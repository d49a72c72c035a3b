/* SPDX-License-Identifier: Apache-2.0
 * See health.h. As Docker does it: a check every interval after the last one has ended; in the
 * start period more often, and failures do not count; `retries` failures in a row are unhealthy. */
#include "agent/engine/health.h"

#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/clock.h"

enum { RESULTS_MAX = 5 };
#define NS_PER_MS 1000000LL

struct health {
	struct source *timer;
	struct exec *probe;
	const char *status;
	int failures, timed_out;
	int64_t began; /* the probe */
	struct json_object *results;
};

static void on_next(struct source *s, void *data);

static int in_start_period(const struct container *c)
{
	return container_now() - c->record.started < c->record.body.health.start_period_ns;
}

static void arm(struct container *c, int64_t ns)
{
	struct health *h = c->health;
	source_free(TAKE_PTR(h->timer));
	(void)loop_add_timer(c->engine->loop, clock_deadline((uint64_t)(ns / NS_PER_MS)), on_next, c, &h->timer);
}

static void arm_next(struct container *c)
{
	const struct docker_health *b = &c->record.body.health;
	int early = in_start_period(c) && streq(c->health->status, "starting");
	arm(c, early ? MIN(b->start_interval_ns, b->interval_ns) : b->interval_ns);
}

static void add_result(struct container *c, int status, const char *output)
{
	struct health *h = c->health;
	struct json_object *o = json_object_new_object();
	AUTOFREE char *begin = clock_format_rfc3339(h->began), *end = clock_format_rfc3339(container_now());
	json_add_string(o, "Start", begin);
	json_add_string(o, "End", end);
	json_add_i64(o, "ExitCode", status);
	json_add_string(o, "Output", output);
	json_object_array_add(h->results, o);
	if (json_object_array_length(h->results) > RESULTS_MAX)
		json_object_array_del_idx(h->results, 0, 1);
}

static void judge(struct container *c, int status)
{
	struct health *h = c->health;
	const char *before = h->status;
	int counts = !in_start_period(c) || !streq(before, "starting");
	if (status == 0) {
		h->failures = 0;
		h->status = "healthy";
	} else if (counts && ++h->failures >= c->record.body.health.retries) {
		h->status = "unhealthy";
	}
	if (streq(before, h->status))
		return;
	AUTOFREE char *action = xasprintf("health_status: %s", h->status);
	event_container(c, action, NULL, NULL);
}

static void on_result(struct container *c, int status, const char *output)
{
	struct health *h = c->health;
	AUTOFREE char *late = xasprintf("Health check exceeded timeout (%lldms)",
	    (long long)(c->record.body.health.timeout_ns / NS_PER_MS));
	h->probe = NULL;
	add_result(c, h->timed_out ? -1 : status, h->timed_out ? late : output);
	judge(c, h->timed_out ? 1 : status);
	arm_next(c);
}

static void on_next(struct source *s, void *data)
{
	struct container *c = data;
	struct health *h = c->health;
	source_free(TAKE_PTR(h->timer));
	if (c->paused) {
		arm_next(c);
		return;
	}
	if (h->probe) {
		h->timed_out = 1;
		exec_kill(h->probe);
		return;
	}
	h->timed_out = 0;
	h->began = container_now();
	h->probe = exec_probe(c, &c->record.body.health.command, on_result);
	if (h->probe)
		arm(c, c->record.body.health.timeout_ns);
}

void health_start(struct container *c)
{
	if (!c->record.body.health.command.count)
		return;
	health_free(c);
	c->health = xnew(struct health);
	*c->health = (struct health){ .status = "starting", .results = json_object_new_array() };
	arm_next(c);
}

void health_stop(struct container *c)
{
	if (!c->health)
		return;
	source_free(TAKE_PTR(c->health->timer));
	c->health->probe = NULL;
}

void health_free(struct container *c)
{
	if (!c->health)
		return;
	source_free(c->health->timer);
	json_object_put(c->health->results);
	free(TAKE_PTR(c->health));
}

const char *health_status(const struct container *c)
{
	return c->health ? c->health->status : "none";
}

struct json_object *health_object(const struct container *c)
{
	if (!c->health)
		return NULL;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Status", c->health->status);
	json_add_i64(o, "FailingStreak", c->health->failures);
	json_add(o, "Log", json_object_get(c->health->results));
	return o;
}
