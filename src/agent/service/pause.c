/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/pause: the machine and its containers stand still for as long as the request's answer is
 * open, so that a client can read the machine's disk twice and find it the same.
 *
 * The freezer of cgroups(7) stops them. A process freezes when it next looks for signals;
 * cgroup.events says when all of a cgroup are frozen, and the first line of the answer waits for
 * that. What the agent itself does goes on.
 *
 * Failures. The end of the client ends the pause, and so do a stop of the machine, an agent that is
 * started again and PAUSE_MAX_MS. A pause that ends before its client says so in its last line. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/service.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { FREEZE_MS = 10 * 1000, PAUSE_MAX_MS = 30 * 60 * 1000, EVENTS_MAX = 256 };

static const char *const groups[] = { AGENT_CGROUP, AGENT_CONTAINERS_CGROUP };
enum { GROUPS = ARRAY_SIZE(groups) };

struct pause {
	struct agent *agent;
	struct http_exchange *exchange; /* NULL: the client is gone */
	int events[GROUPS];             /* cgroup.events; -1: there is no such group */
	struct source *changes[GROUPS], *deadline;
	int begun; /* the first line was sent */
};

/* 0 or -errno; -ENOENT: there is no such group. */
static int write_freeze(const char *group, const char *text)
{
	AUTOFREE char *path = path_join(group, "cgroup.freeze");
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

void pause_thaw(void)
{
	for (size_t i = 0; i < GROUPS; i++) {
		int r = write_freeze(groups[i], "0");
		if (r < 0 && r != -ENOENT && r != -EACCES)
			log_warning("%s stands still: %s", groups[i], strerror(-r));
	}
}

static void pause_free(struct pause *p)
{
	p->agent->pause = NULL;
	pause_thaw();
	for (size_t i = 0; i < GROUPS; i++) {
		source_free(p->changes[i]);
		fd_close(p->events[i]);
	}
	source_free(p->deadline);
	free(p);
}

/* Ends the pause before its client does. */
static void give_up(struct pause *p, const char *why)
{
	AUTO_ERROR struct error *err = NULL;
	struct http_exchange *x = p->exchange;
	int begun = p->begun, r = error_set(&err, EBUSY, "the machine cannot stand still: %s", why);
	http_exchange_on_closed(x, NULL, NULL);
	pause_free(p);
	if (!begun) {
		http_respond_error(x, r, err);
		return;
	}
	struct json_object *line = json_object_new_object();
	json_add_string(line, "error", err->text);
	http_stream_json(x, line);
	http_stream_end(x);
}

void pause_end(struct agent *a)
{
	if (a->pause)
		give_up(a->pause, "it is being stopped");
}

static void on_closed(void *data)
{
	pause_free(data);
}

static void on_deadline(struct source *s, void *data)
{
	struct pause *p = data;
	give_up(p, p->begun ? "half an hour is over" : "its processes do not freeze");
}

/* The read makes the next change an event. A group that is gone counts as frozen. */
static int is_frozen(int events)
{
	char text[EVENTS_MAX];
	ssize_t n = events < 0 ? 0 : pread(events, text, sizeof text - 1, 0);
	text[MAX(n, 0)] = '\0';
	return n <= 0 || strstr(text, "frozen 1") != NULL;
}

static void look(struct pause *p)
{
	int frozen = 1;
	for (size_t i = 0; i < GROUPS; i++)
		frozen &= is_frozen(p->events[i]);
	if (!frozen || p->begun)
		return;
	p->begun = 1;
	source_set_timer(p->deadline, clock_deadline(PAUSE_MAX_MS));
	struct json_object *line = json_object_new_object();
	json_add_bool(line, "paused", 1);
	http_stream_begin(p->exchange, 200);
	http_stream_json(p->exchange, line);
}

static void on_change(struct source *s, int fd, uint32_t events, void *data)
{
	look(data);
}

/* 0, also for a group that is not there, or -errno. */
static int freeze(struct pause *p, size_t i)
{
	AUTOFREE char *path = path_join(groups[i], "cgroup.events");
	p->events[i] = open(path, O_RDONLY | O_CLOEXEC);
	if (p->events[i] < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = loop_add_io(p->agent->loop, p->events[i], EPOLLPRI, on_change, p, &p->changes[i]);
	return r < 0 ? r : write_freeze(groups[i], "1");
}

static int check(const struct agent *a, struct error **err)
{
	if (a->phase != PHASE_RUNNING || a->init_pidfd < 0)
		return error_set(err, EAGAIN, "the machine is not running");
	if (a->pause)
		return error_set(err, EBUSY, "the machine stands still already, for another command");
	if (access(AGENT_CGROUP "/cgroup.freeze", W_OK) < 0)
		return error_set(err, EOPNOTSUPP,
		    "a running machine cannot stand still here: the host delegates no cgroup to it; stop the machine "
		    "first, or run holm in a session of systemd");
	return 0;
}

void pause_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	int r = check(a, &err);
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	struct pause *p = a->pause = xnew(struct pause);
	*p = (struct pause){ .agent = a, .exchange = x, .events = { -1, -1 } };
	http_exchange_on_closed(x, on_closed, p);
	r = loop_add_timer(a->loop, clock_deadline(FREEZE_MS), on_deadline, p, &p->deadline);
	for (size_t i = 0; r >= 0 && i < GROUPS; i++)
		r = freeze(p, i);
	if (r < 0)
		give_up(p, strerror(-r));
	else
		look(p);
}
