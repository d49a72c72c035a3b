/* SPDX-License-Identifier: Apache-2.0
 * The agent: what is inside a machine's kernel on holm's side. One process, one loop; blocking work
 * is done in forked workers (worker.h), sessions are forked children. This header is the state that
 * the parts share, and where things lie. */
#pragma once

#include <sys/types.h>

#include "agent/core/boot_request.h"
#include "base/loop.h"
#include "http/http.h"
#include "http/transport.h"

/* The agent's own files, outside of the machine: none of these paths exist inside it. */
#define AGENT_RUN "/run/holm"
#define AGENT_ROOT AGENT_RUN "/root"                             /* the machine's disk */
#define AGENT_MACHINE_RUN AGENT_RUN "/machine-run"               /* the tmpfs that is /run inside the machine */
#define AGENT_SHARES AGENT_RUN "/shares"                         /* TAG: a share's own mount */
#define AGENT_MODULES AGENT_RUN "/modules"                       /* the modules disk */
#define AGENT_BUNDLE AGENT_RUN "/bundle"                         /* crun's bundle */
#define AGENT_STATE AGENT_RUN "/state.json"                      /* the state that a respawned agent continues from */
#define AGENT_CGROUP "/sys/fs/cgroup/holm-machine"               /* the root of the machine's cgroup namespace */
#define AGENT_CONTAINERS_CGROUP "/sys/fs/cgroup/holm-containers" /* the same of the engine and its containers */

enum agent_phase { PHASE_IDLE, PHASE_BOOTING, PHASE_RUNNING, PHASE_STOPPING };

enum init_kind { INIT_NONE, INIT_OWN, INIT_SYSTEMD, INIT_BUSYBOX, INIT_OTHER };

struct platform;
struct session;
struct console;
struct readiness;
struct inittab_watch;
struct share_events;
struct share_sockets;
struct engine_link;
struct pause;

struct agent {
	const struct platform *platform;
	struct loop *loop;
	struct http_server *server;
	struct transport *to_keeper;   /* streams that we open; NULL while there is none */
	struct transport *from_keeper; /* streams that the keeper opens */
	enum agent_phase phase;
	struct boot_request *boot;         /* NULL before the first boot request */
	struct http_exchange *boot_answer; /* the open answer to it, or NULL */
	int ready_session, ready_init;

	pid_t init_pid; /* as this process sees it; 0: none */
	int init_pidfd; /* -1: none */
	enum init_kind init_kind;
	int init_has_bus; /* the image has a system message bus */
	unsigned init_starts, quick_starts;
	uint64_t init_started_ms;
	struct source *init_source;
	struct console *console;
	struct readiness *readiness;
	struct inittab_watch *inittab;
	struct names *names;                 /* NULL: passt reaches the host's resolver */
	struct engine_link *engine;          /* NULL: it was not needed yet */
	struct pause *pause;                 /* NULL: the machine does not stand still */
	struct share_events *share_events;   /* NULL: no share has any */
	struct listener *listeners;          /* a list: ports of clients of ssh */
	struct share_sockets *share_sockets; /* a list: sockets of the host that are mounted */

	struct http_exchange *stop_answer;
	struct source *stop_timer;
	const char *ended_how; /* for the last line of the boot's answer */
	int ended_status;
	struct session *sessions; /* a list */
	uint64_t session_counter;
};

/* Called from rooms that may not include those of the functions: server.c (serves until the machine
 * is over; the process's exit status), life/stop.c, life/state.c. */
int agent_run(const struct platform *p);
void stop_begin(struct agent *a, uint64_t timeout_ms);
void state_save(const struct agent *a);
/* service/names.c: listens for name lookups in the machine's network, if its resolv.conf names that
 * place; before that network goes, names_stop(). */
void names_start(struct agent *a);
void names_stop(struct agent *a);
/* service/engine.c: asks the containers to end. 1, and stop_containers_ended() follows; 0: there
 * are none. */
void engine_machine_ready(struct agent *a); /* sessions may start: starts the engine if it left a mark */
int engine_machine_stops(struct agent *a);
void engine_machine_adopt(struct agent *a); /* of an agent that was started again, once the keeper is back */
void engine_machine_ended(struct agent *a); /* the init is gone: ends the engine */
void stop_containers_ended(struct agent *a);
/* service/pause.c */
void pause_end(struct agent *a); /* the machine goes on, since it is to stop */
void pause_thaw(void);           /* after an agent that was killed meanwhile */
