/* SPDX-License-Identifier: Apache-2.0
 * The agent's process: one loop, one table of resources, two transports. When a transport breaks
 * the process ends, and the reaper starts the next one, which adopts the running machine: that is
 * the one way to recover, whatever went wrong. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/life/life.h"
#include "agent/service/service.h"
#include "agent/session/session.h"
#include "agent/share/events.h"
#include "agent/share/sockets.h"
#include "agent/share/share.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

enum { FILES_OWN = 16384, FILES_HARD = 524288 };

static const struct http_route routes[] = {
	{ "GET", "/v1/version", version_handle, 0 },
	{ "POST", "/v1/boot", boot_handle, 0 },
	{ "POST", "/v1/sessions", session_handle, 0 },
	{ "POST", "/v1/stop", stop_handle, 0 },
	{ "PUT", "/v1/clock", clock_handle, 0 },
	{ "PUT", "/v1/resolv", resolv_handle, 0 },
	{ "PUT", "/v1/timezone", timezone_handle, 0 },
	{ "POST", "/v1/shares", share_add_handle, 0 },
	{ "DELETE", "/v1/shares", share_remove_handle, 0 },
	{ "POST", "/v1/dial", dial_handle, 0 },
	{ "POST", "/v1/listen", listen_handle, 0 },
	{ "GET", "/v1/listening", listening_handle, 0 },
	{ "POST", "/v1/accept", accept_handle, 0 },
	{ "GET", "/v1/memory", memory_handle, 0 },
	{ "GET", "/v1/usage", usage_handle, 0 },
	{ "POST", "/v1/pause", pause_handle, 0 },
	{ "POST", "/v1/engine", engine_handle, 1 },
	{ "GET", "/v1/archive", archive_get_handle, 0 },
	{ "PUT", "/v1/archive", archive_put_handle, 1 },
	{ NULL, NULL, NULL, 0 },
};

static void on_accept(int fd, void *data)
{
	struct agent *a = data;
	int r = http_server_serve(a->server, fd);
	if (r < 0)
		log_warning("cannot serve a stream: %s", strerror(-r));
}

static void on_transport_closed(int code, const char *why, void *data)
{
	struct agent *a = data;
	log_warning("the connection to the keeper ended: %s", why ? why : strerror(code < 0 ? -code : code));
	loop_exit(a->loop, 1);
}

/* The kernel's hard limit for its first process is 4096 files; what runs inside expects what a
 * distribution's systemd gives (worker.c and the sessions see to the soft limit). The agent itself
 * has two files for each client of a published UDP port. */
static void raise_limits(void)
{
	struct rlimit files = { .rlim_cur = FILES_OWN, .rlim_max = FILES_HARD };
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_debug("the limit of open files stays as it is: %s", strerror(errno));
}

int agent_run(const struct platform *p)
{
	static struct agent agent = { .init_pidfd = -1 };
	struct agent *a = &agent;
	AUTO_ERROR struct error *err = NULL;
	struct platform_streams streams = { .accept = on_accept, .closed = on_transport_closed, .data = a };
	a->platform = p;
	p->open_log();
	fd_set_cloexec(3, 1); /* the reaper's socket, see reaper.c, or the keeper's */
	raise_limits();
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int r = loop_new(&a->loop);
	if (r >= 0)
		r = http_server_new(a->loop, routes, a, &a->server);
	if (r >= 0) {
		if (p->is_respawned)
			state_adopt(a);
		if (a->phase != PHASE_RUNNING)
			engine_machine_ended(a); /* one whose machine is gone */
		r = p->open_streams(a, &streams, &err);
	}
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	if (a->phase == PHASE_RUNNING) { /* an agent that was started again */
		pause_thaw();
		share_events_start(a);
		share_sockets_renew(a);
	}
	return loop_run(a->loop);
}
