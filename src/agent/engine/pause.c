/* SPDX-License-Identifier: Apache-2.0
 * POST /containers/ * /pause and /unpause: the freezer of the container's cgroup (cgroups(7)).
 *
 * The kernel freezes a process when that next looks for signals. cgroup.events says when all are
 * frozen: the answer waits for this. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/events.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum { FREEZE_MS = 10 * 1000 };

struct pausing {
	struct http_exchange *exchange; /* NULL: the client is gone */
	int events;
	struct source *change, *deadline;
};

static void finish(struct container *c, int code, const struct error *err)
{
	struct pausing *p = TAKE_PTR(c->pausing);
	source_free(p->change);
	source_free(p->deadline);
	fd_close(p->events);
	if (code == 0) {
		c->paused = 1;
		event_container(c, "pause", NULL, NULL);
	}
	engine_answer(p->exchange, code, err);
	free(p);
}

static int is_frozen(const struct container *c)
{
	AUTOFREE char *text = container_cgroup_read(c, "cgroup.events");
	return cgroup_number(text, "frozen") == 1;
}

static void on_change(struct source *s, int fd, uint32_t events, void *data)
{
	struct container *c = data;
	char text[256];
	/* The read makes the next change an event. */
	if (pread(fd, text, sizeof text, 0) >= 0 && is_frozen(c))
		finish(c, 0, NULL);
}

static void give_up(struct container *c, const char *why)
{
	AUTO_ERROR struct error *err = NULL;
	container_cgroup_write(c, "cgroup.freeze", "0");
	int r = error_set(&err, EBUSY, "Cannot pause container %s: %s", c->record.id, why);
	finish(c, r, err);
}

static void on_deadline(struct source *s, void *data)
{
	give_up(data, "its processes do not freeze");
}

static void on_closed(void *data)
{
	((struct container *)data)->pausing->exchange = NULL;
}

static int freeze(struct container *c, struct http_exchange *x, struct error **err)
{
	struct loop *loop = c->engine->loop;
	int fd = container_cgroup_open(c, "cgroup.events");
	int r = fd < 0 ? fd : container_cgroup_write(c, "cgroup.freeze", "1");
	if (r < 0) {
		fd_close(fd);
		return error_set_errno(err, r, "Cannot pause container %s", c->record.id);
	}
	c->pausing = xnew(struct pausing);
	*c->pausing = (struct pausing){ .exchange = x, .events = fd };
	http_exchange_on_closed(x, on_closed, c);
	if (loop_add_io(loop, fd, EPOLLPRI, on_change, c, &c->pausing->change) < 0 ||
	    loop_add_timer(loop, clock_deadline(FREEZE_MS), on_deadline, c, &c->pausing->deadline) < 0)
		give_up(c, "it cannot be watched");
	else
		on_change(NULL, fd, 0, c);
	return 0;
}

/* Docker's words and statuses. */
static int check(const struct container *c, struct error **err)
{
	const char *id = c->record.id;
	if (policy_is_waiting(c))
		return error_set(err, EBUSY, "Container %s is restarting, wait until the container is running", id);
	if (!c->pid)
		return error_set(err, EBUSY, "Container %s is not running", id);
	if (c->paused || c->pausing)
		return error_set(err, EBUSY, "Container %s is already paused", id);
	if (!(c->engine->limits & DOCKER_LIMIT_CGROUP))
		return error_set(err, EOPNOTSUPP,
		    "Cannot pause container %s: the host delegates no cgroup to the machine; run holm in a session of "
		    "systemd",
		    id);
	return 0;
}

void engine_pause(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	int r = check(c, &err);
	if (r == 0)
		r = freeze(c, x, &err);
	if (r < 0)
		engine_error(x, r, err);
}

static void thaw(struct container *c)
{
	int r = container_cgroup_write(c, "cgroup.freeze", "0");
	if (r < 0)
		log_warning("container %.12s cannot be unpaused: %s", c->record.id, strerror(-r));
	c->paused = 0;
	event_container(c, "unpause", NULL, NULL);
}

void engine_unpause(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	if (c->pausing) {
		give_up(c, "it is being unpaused");
		http_respond(x, 204, NULL, NULL, 0);
		return;
	}
	if (!c->paused) {
		int r = error_set(&err, EIO, "Container %s is not paused", c->record.id);
		engine_error(x, r, err);
		return;
	}
	thaw(c);
	http_respond(x, 204, NULL, NULL, 0);
}

void container_thaw(struct container *c)
{
	if (c->pausing)
		give_up(c, "it is being stopped");
	else if (c->paused)
		thaw(c);
}

void container_found_paused(struct container *c)
{
	if (!(c->engine->limits & DOCKER_LIMIT_CGROUP))
		return;
	AUTOFREE char *text = container_cgroup_read(c, "cgroup.freeze");
	c->paused = text && text[0] == '1';
}

void container_forget_pause(struct container *c)
{
	c->paused = 0;
	if (c->pausing)
		give_up(c, "it has ended");
}

int container_refuse_paused(const struct container *c, struct http_exchange *x, const char *doing)
{
	AUTO_ERROR struct error *err = NULL;
	if (!c->paused)
		return 0;
	int r = error_set(&err, EBUSY, "container %s is paused, unpause the container before %s", c->record.id, doing);
	engine_error(x, r, err);
	return 1;
}
