/* SPDX-License-Identifier: Apache-2.0
 * Restart policies. A container that ends is started again by itself after a delay, which doubles
 * from DELAY_FIRST_MS to DELAY_MAX_MS and begins again when a run lasted LONG_RUN_NS.
 *
 * They hold over a stop of the machine, too. The file ENGINE_RESTART_MARK is there as long as a new
 * engine would have a container to start; then the agent starts the engine when the machine has
 * booted (src/agent/service/engine.c). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/engine/engine.h"
#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { DELAY_FIRST_MS = 100, DELAY_MAX_MS = 60 * 1000 };
#define LONG_RUN_NS (10 * 1000000000LL)

static int wants(const struct container *c, uint64_t failures)
{
	const struct docker_body *b = &c->record.body;
	switch (b->restart) {
	case DOCKER_RESTART_ALWAYS:
		return 1;
	case DOCKER_RESTART_UNLESS_STOPPED:
		return !c->record.stopped;
	case DOCKER_RESTART_ON_FAILURE:
		return c->record.exit_code && !c->record.stopped && (!b->restart_max || failures < b->restart_max);
	case DOCKER_RESTART_NO:
		break;
	}
	return 0;
}

void policy_decide(struct container *c, int ran)
{
	const struct record *r = &c->record;
	if (ran && r->finished - r->started >= LONG_RUN_NS)
		c->policy_delay_ms = c->policy_failures = 0;
	c->policy_wants =
	    !c->again && !c->remove && !r->stopped && !c->engine->stopping && wants(c, c->policy_failures);
	if (!c->policy_wants)
		return;
	c->policy_delay_ms = c->policy_delay_ms ? MIN(c->policy_delay_ms * 2, (uint64_t)DELAY_MAX_MS) : DELAY_FIRST_MS;
	c->policy_failures++;
}

static void on_time(struct source *s, void *data)
{
	struct container *c = data;
	source_free(TAKE_PTR(c->policy_timer));
	c->policy_wants = 0;
	c->record.restarts++;
	container_start(c, NULL);
}

int policy_go_on(struct container *c)
{
	if (!c->policy_wants)
		return 0;
	int r = loop_add_timer(c->engine->loop, clock_deadline(c->policy_delay_ms), on_time, c, &c->policy_timer);
	c->policy_wants = r == 0;
	return c->policy_wants;
}

int policy_is_waiting(const struct container *c)
{
	return c->policy_wants && !c->pid;
}

void policy_cancel(struct container *c)
{
	source_free(TAKE_PTR(c->policy_timer));
	c->policy_wants = 0;
	c->policy_delay_ms = c->policy_failures = 0;
}

/* One that no client has started yet waits for that. */
static int is_for_a_new_engine(const struct container *c)
{
	return c->record.started && !c->remove && wants(c, 0);
}

void policy_start_all(struct engine *e)
{
	for (struct container *c = e->containers; c; c = c->next) {
		if (c->held || !is_for_a_new_engine(c))
			continue;
		c->record.stopped = 0;
		if (c->cleaning)
			c->again = 1;
		else
			container_start(c, NULL);
	}
}

void policy_mark(struct engine *e)
{
	int wanted = 0;
	for (const struct container *c = e->containers; c && !wanted; c = c->next)
		wanted = c->record.body.restart != DOCKER_RESTART_NO && is_for_a_new_engine(c);
	if (!wanted) {
		unlinkat(e->records, path_base(ENGINE_RESTART_MARK), 0);
		return;
	}
	AUTO_FD int fd = openat(e->records, path_base(ENGINE_RESTART_MARK),
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		log_warning("the next boot will start no containers: cannot write %s: %s", ENGINE_RESTART_MARK,
		    strerror(errno));
}
