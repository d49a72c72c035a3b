/* SPDX-License-Identifier: Apache-2.0
 * The end of a machine: the init is asked, then killed; what is left is killed, unmounted and
 * synced by a worker; the answers are given; the platform does the rest. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/cgroup.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "agent/life/life.h"
#include "agent/life/init_signal.h"
#include "agent/life/phase.h"
#include "agent/life/report.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum { STOP_DEFAULT_MS = 30 * 1000, STOP_MAX_MS = 24 * 3600 * 1000 };

static void on_time_limit(struct source *s, void *data)
{
	struct agent *a = data;
	log_warning("the init did not stop in time and is killed");
	if (a->init_pidfd >= 0)
		syscall(SYS_pidfd_send_signal, a->init_pidfd, SIGKILL, NULL, 0);
}

static void on_stop_closed(void *agent)
{
	((struct agent *)agent)->stop_answer = NULL;
}

static void stop_init(struct agent *a)
{
	if (a->init_pidfd >= 0)
		syscall(SYS_pidfd_send_signal, a->init_pidfd, init_stop_signal(a), NULL, 0);
	else
		stop_init_ended(a, "poweroff", 0);
}

/* The engine may also end by itself. */
void stop_containers_ended(struct agent *a)
{
	if (a->phase == PHASE_STOPPING && a->init_pidfd >= 0)
		stop_init(a);
}

void stop_begin(struct agent *a, uint64_t timeout_ms)
{
	pause_end(a);
	if (agent_enter(a, PHASE_STOPPING) == 0) {
		boot_line(a, "stage", "stopping");
		if (!engine_machine_stops(a))
			stop_init(a);
	}
	/* A later request may shorten the time, or lengthen it. */
	uint64_t at = clock_deadline(MIN(timeout_ms, (uint64_t)STOP_MAX_MS));
	if (a->stop_timer)
		source_set_timer(a->stop_timer, at);
	else
		loop_add_timer(a->loop, at, on_time_limit, a, &a->stop_timer);
}

void stop_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	uint64_t timeout = STOP_DEFAULT_MS;
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? json_get_u64(body, "timeout_ms", &timeout, &err) : -EINVAL;
	if (r < 0 && r != -ENOENT) {
		http_respond_error(x, r, err);
		return;
	}
	/* The last request counts: it may have a shorter time-out, and the client of the earlier
	 * one may have gone unnoticed. */
	if (a->stop_answer) {
		error_set(&err, EBUSY, "another request to stop the machine came");
		http_respond_error(TAKE_PTR(a->stop_answer), EBUSY, err);
	}
	a->stop_answer = x;
	http_exchange_on_closed(x, on_stop_closed, a);
	stop_begin(a, timeout);
}

/* In the worker. */
static int put_away(int channel, void *agent, struct error **err)
{
	cgroup_kill(); /* everything that is left of the machine, whatever it escaped from */
	return ((struct agent *)agent)->platform->put_away(channel, agent, err);
}

static void on_message(struct json_object *o, int fd, void *agent)
{
	struct agent *a = agent;
	fd_close(fd);
	if (a->platform->put_away_message)
		a->platform->put_away_message(o, a);
}

static void on_put_away(int code, const char *text, void *data)
{
	struct agent *a = data;
	boot_ended(a, a->ended_how, a->ended_status);
	if (a->stop_answer)
		http_respond_json(TAKE_PTR(a->stop_answer), 200, NULL);
	a->platform->end(a);
}

void stop_init_ended(struct agent *a, const char *how, int status)
{
	static const struct worker_events events = { .message = on_message, .done = on_put_away };
	agent_enter(a, PHASE_STOPPING);
	a->ended_how = how;
	a->ended_status = status;
	if (a->stop_timer)
		source_set_timer(a->stop_timer, UINT64_MAX);
	if (worker_start(a->loop, put_away, a, NULL, 0, &events, a, NULL) < 0) {
		put_away(-1, a, NULL);
		on_put_away(0, NULL, a);
	}
}
