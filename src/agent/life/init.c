/* SPDX-License-Identifier: Apache-2.0
 * The life of the machine's init as the agent sees it: launched by a worker, watched by a pidfd,
 * started again when it asked for a reboot.
 *
 * In a pid namespace reboot(2) kills the init instead of the kernel: SIGHUP means "restart", SIGINT
 * "halt or power off" (pid_namespaces(7)). */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "agent/life/life.h"
#include "agent/life/console.h"
#include "agent/life/init_launch.h"
#include "agent/life/init_signal.h"
#include "agent/life/inittab_watch.h"
#include "agent/life/phase.h"
#include "agent/life/readiness.h"
#include "agent/life/report.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { QUICK_STARTS_MAX = 20, QUICK_MS = 10 * 1000 };

struct launch {
	struct agent *agent;
	struct init_launch request;
	char *init;
	int console, notify, inittab;
	uint64_t pid, kind;
	int bus;
};

static void launch_free(struct launch *l)
{
	fd_close(l->console);
	fd_close(l->notify);
	fd_close(l->inittab);
	free(l->init);
	free(l);
}

/* Not for an init that asks for it again and again as soon as it is there. */
static int may_restart(struct agent *a)
{
	if (clock_now_ms() - a->init_started_ms >= QUICK_MS)
		a->quick_starts = 0;
	return a->quick_starts++ < QUICK_STARTS_MAX;
}

static void restart_or_end(struct agent *a, int status, int known)
{
	int rebooted = known && WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP;
	if (rebooted && a->phase == PHASE_RUNNING && may_restart(a)) {
		if (a->boot_answer) {
			struct json_object *o = json_object_new_object();
			json_add_bool(o, "rebooting", 1);
			http_stream_json(a->boot_answer, o);
		}
		/* The next init reports again: its /run is new, without the last one's sockets. */
		a->ready_session = a->ready_init = 0;
		init_start(a);
		return;
	}
	if (!known || WIFSIGNALED(status))
		stop_init_ended(a, "poweroff", 0);
	else
		stop_init_ended(a, "exit", WEXITSTATUS(status));
}

static void on_init_ended(struct source *s, int pidfd, uint32_t events, void *data)
{
	struct agent *a = data;
	int status = 0;
	/* An adopted init is the reaper's child: then how it ended stays unknown. */
	siginfo_t info = { 0 };
	int known = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0;
	if (known)
		status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	source_free(a->init_source);
	a->init_source = NULL;
	fd_close(TAKE_FD(a->init_pidfd));
	a->init_pid = 0;
	engine_machine_ended(a);
	names_stop(a);
	a->platform->init_ended(a);
	readiness_free(TAKE_PTR(a->readiness));
	console_free(TAKE_PTR(a->console));
	inittab_watch_free(TAKE_PTR(a->inittab));
	state_save(a);
	if (!a->ready_session && a->phase != PHASE_STOPPING) {
		AUTOFREE char *text = xasprintf("the machine's init ended (%s %d) before it was up; \"holm machine "
						"logs\" shows what it said",
		    WIFEXITED(status) ? "status" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		agent_fail(a, EIO, text, NULL);
		return;
	}
	restart_or_end(a, status, known);
}

void init_adopt(struct agent *a, pid_t pid, int pidfd, enum init_kind kind, int console)
{
	a->init_pid = pid;
	a->init_pidfd = pidfd;
	a->init_kind = kind;
	int r = loop_add_io(a->loop, pidfd, EPOLLIN, on_init_ended, a, &a->init_source);
	if (r < 0)
		log_error("cannot watch the init: %s", strerror(-r));
	if (console >= 0)
		console_start(a, console, &a->console);
}

static void on_launch_message(struct json_object *o, int fd, void *data)
{
	struct launch *l = data;
	const char *name = NULL;
	json_get_u64(o, "pid", &l->pid, NULL);
	json_get_u64(o, "kind", &l->kind, NULL);
	json_get_bool(o, "bus", &l->bus, NULL);
	if (json_get_string(o, "init", &name, NULL) >= 0) {
		free(l->init);
		l->init = xstrdup(name);
	}
	if (json_get_string(o, "fd", &name, NULL) >= 0 && fd >= 0) {
		int *to = streq(name, "console") ? &l->console : streq(name, "inittab") ? &l->inittab : &l->notify;
		fd_close(*to);
		*to = fd;
		return;
	}
	fd_close(fd);
}

static const struct worker_events no_events;

static void on_launched(int code, const char *text, void *data)
{
	struct launch *l = data;
	struct agent *a = l->agent;
	int pidfd = code == 0 && l->pid ? (int)syscall(SYS_pidfd_open, (pid_t)l->pid, 0) : -1;
	if (code < 0 || pidfd < 0) {
		agent_fail(a, code < 0 ? -code : EIO, text ? text : "the machine's init ended at once", NULL);
		launch_free(l);
		return;
	}
	a->init_starts++;
	a->init_started_ms = clock_now_ms();
	a->init_has_bus = l->bus;
	init_adopt(a, (pid_t)l->pid, pidfd, (enum init_kind)l->kind, TAKE_FD(l->console));
	a->platform->init_started(a);
	names_start(a);
	boot_line(a, "init", l->init);
	if (a->phase == PHASE_BOOTING)
		agent_enter(a, PHASE_RUNNING);
	state_save(a);
	if (l->inittab >= 0)
		inittab_watch_start(a, TAKE_FD(l->inittab), &a->inittab);
	readiness_start(a, TAKE_FD(l->notify));
	if (a->init_kind != INIT_SYSTEMD)
		worker_start(a->loop, init_launch_settle, NULL, NULL, 0, &no_events, a, NULL);
	/* Somebody asked to stop while crun was at work. */
	if (a->phase == PHASE_STOPPING)
		kill(a->init_pid, init_stop_signal(a));
	launch_free(l);
}

void init_start(struct agent *a)
{
	struct launch *l = xnew(struct launch);
	*l = (struct launch){
		.agent = a,
		.request = { .platform = a->platform, .request = a->boot, .start = a->init_starts },
		.console = -1,
		.notify = -1,
		.inittab = -1,
	};
	static const struct worker_events events = { .message = on_launch_message, .done = on_launched };
	a->platform->init_starting(a);
	boot_line(a, "stage", "starting the init");
	int r = worker_start(a->loop, init_launch_run, &l->request, NULL, 0, &events, l, NULL);
	if (r < 0) {
		launch_free(l);
		agent_fail(a, -r, "cannot start a process", NULL);
	}
}
