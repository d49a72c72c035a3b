/* SPDX-License-Identifier: Apache-2.0
 * The state file: enough for a respawned agent to go on with a machine that is running. A pid alone
 * could be somebody else's by then, so the process's start time is kept with it. */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/kept.h"
#include "agent/core/platform.h"
#include "agent/life/life.h"
#include "agent/life/phase.h"
#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { STATE_MAX = 8 * 1024 * 1024 };

/* Field 22 of /proc/PID/stat (proc(5)), counted behind the name, which may hold blanks and
 * brackets; 0 when there is no such process. */
static uint64_t start_time(pid_t pid)
{
	AUTOFREE char *path = xasprintf("/proc/%d/stat", (int)pid);
	AUTOFREE char *text = NULL;
	unsigned long long value = 0;
	if (pid <= 0 || path_read_file(path, 4096, &text, NULL) < 0)
		return 0;
	const char *rest = strrchr(text, ')');
	if (!rest ||
	    sscanf(rest + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		&value) != 1)
		return 0;
	return value;
}

void state_save(const struct agent *a)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTO_ERROR struct error *err = NULL;
	if (!a->platform->is_respawned)
		return;
	json_add_i64(o, "init", a->init_pid);
	json_add_u64(o, "start_time", start_time(a->init_pid));
	json_add_u64(o, "kind", a->init_kind);
	json_add_u64(o, "starts", a->init_starts);
	json_add_u64(o, "sessions", a->session_counter);
	json_add_bool(o, "ready_session", a->ready_session);
	json_add_bool(o, "ready_init", a->ready_init);
	if (a->boot)
		json_add(o, "boot", json_object_get(a->boot->source));
	AUTOFREE char *text = json_to_string(o, 0);
	if (atomic_file_write(AGENT_STATE, 0600, text, strlen(text), &err) < 0)
		log_warning("the agent's state cannot be saved: %s", err->text);
}

void state_adopt(struct agent *a)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *boot = NULL;
	uint64_t pid = 0, started = 0, kind = 0, starts = 0;
	if (json_parse_file(AGENT_STATE, STATE_MAX, &o, NULL) < 0 || json_get_object(o, "boot", &boot, NULL) < 0 ||
	    boot_request_parse(boot, &a->boot, NULL) < 0)
		return;
	json_get_u64(o, "init", &pid, NULL);
	json_get_u64(o, "start_time", &started, NULL);
	json_get_u64(o, "kind", &kind, NULL);
	json_get_u64(o, "starts", &starts, NULL);
	json_get_u64(o, "sessions", &a->session_counter, NULL);
	json_get_bool(o, "ready_session", &a->ready_session, NULL);
	json_get_bool(o, "ready_init", &a->ready_init, NULL);
	a->init_starts = (unsigned)starts;
	int pidfd = pid ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
	if (pidfd < 0 || start_time((pid_t)pid) != started) {
		fd_close(pidfd);
		return;
	}
	agent_enter(a, PHASE_RUNNING);
	/* READY=1 may have been lost while no agent listened, so do not wait for it. */
	a->ready_session = a->ready_init = 1;
	init_adopt(a, (pid_t)pid, pidfd, (enum init_kind)kind, kept_take(KEPT_CONSOLE));
	log_warning("went on with the running machine %s", a->boot->name);
}
