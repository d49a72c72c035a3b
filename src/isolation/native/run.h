/* SPDX-License-Identifier: Apache-2.0
 * The parts of a machine that runs in namespaces, shared between the files of this folder. See
 * docs/native.md.
 *
 *   run.c       the end, what the agent and people are told, the table of functions
 *   start.c     from the spawn to a connected agent: cgroup, mapping, messages
 *   messages.c  what the agent says, parsed
 *   children.c  the keeper's processes: the agent, pasta, the mapping's programs, holm-scope
 *   folders.c   shares; the directories below the machine's own
 *   view.c      root's agent: holm's folders at their paths
 *   pasta.c     the network of each init
 *   sockets.c   sockets in that network for the keeper
 *   cgroup.c, cgroup_path.c   the machine's cgroup and its limits
 *
 * Everything ends in one place: native_fail() (or the agent's exit) kills all children, and when
 * the last one is reaped and the cgroup is gone `ended` is told.
 */
#pragma once

#include <sys/types.h>

#include "idmap/idmap.h"
#include "isolation/boot_log.h"
#include "isolation/isolation.h"
#include "isolation/run_end.h"

enum native_child_kind { CHILD_FIRST, CHILD_AGENT, CHILD_UIDS, CHILD_GIDS, CHILD_SCOPE, CHILD_PASTA, CHILD_SOCKETS };

struct native_child {
	struct isolation_run *run;
	struct native_child *next;
	enum native_child_kind kind;
	pid_t pid;
	struct source *source;
	int leaving; /* its end is expected */
};

struct native_share {
	struct native_share *next;
	char *tag, *message;
	int mount; /* until it is sent; -1: none */
};

enum native_stage { NATIVE_SPAWNED, NATIVE_MAPPING, NATIVE_GO, NATIVE_CONNECTED };

struct isolation_run {
	struct loop *loop;
	struct isolation_events events;
	void *data;
	const struct machine *machine; /* borrowed for as long as the run lives */
	struct idmap ids;
	char *hash;  /* the machine's, of its runtime folder */
	char *state; /* the file that remembers the cgroup */
	char *crun;
	char *folder; /* machines/NAME/native */
	enum native_stage stage;
	struct transport *transport;
	struct native_child *children;
	pid_t first, agent;                             /* 0: none */
	int agent_pidfd, user_namespace, pid_namespace; /* -1: none */
	struct source *start_timer;
	struct boot_log log;
	int words;             /* the pipe into it that every child has as stderr */
	uint64_t cpus, memory; /* as they are now, or were wished where there is no limit */
	/* shares */
	struct native_share *shares;
	int share_mapping; /* user namespace for idmapped mounts; -1: not made yet */
	/* network */
	char *pasta, *forwarded_dns;
	unsigned families; /* of the machine's addresses: NETWORK_IPV4, NETWORK_IPV6 */
	int no_network_said;
	/* usage of the disk: when it was asked for, and when to ask again at the earliest */
	uint64_t measure_began_ms, measure_next_ms;
	pid_t init;                     /* 0: none runs */
	struct native_sockets *sockets; /* NULL before the first init */
	/* cgroup */
	struct native_cgroup *cgroup;
	/* ending */
	struct run_end end;
};

/* Ends the run for this reason (the first one counts). */
void native_fail(struct isolation_run *run, int code, const char *format, ...) PRINTF_LIKE(3, 4);
void native_child_gone(struct isolation_run *run, struct native_child *c, int wait_status);
void native_finish_if_alone(struct isolation_run *run);
void native_measured(struct isolation_run *run); /* the usage of the disk has come */

/* start.c */
int native_begin(struct isolation_run *run, struct error **err); /* spawns the agent; the rest comes by events */
void native_go_if_ready(struct isolation_run *run);              /* the cgroup or the mapping is there now */
void native_mapped(struct isolation_run *run, const struct native_child *c, int wait_status);

/* children.c */
struct spawn_options;
int native_child_start(struct isolation_run *run, enum native_child_kind kind, const struct spawn_options *o,
    struct native_child **ret, struct error **err);
/* Watches a child that was not started here. */
int native_child_watch(struct isolation_run *run, enum native_child_kind kind, pid_t pid, struct native_child **ret);
struct native_child *native_child_find(struct isolation_run *run, enum native_child_kind kind);
void native_children_kill(struct isolation_run *run);
void native_children_reap(struct isolation_run *run); /* waits for those that were killed; drops them without a word */
const char *native_child_name(enum native_child_kind kind);

/* folders.c */
/* before the agent listens: kept for then */
int native_share_announce(struct isolation_run *run, const struct isolation_share *s, struct error **err);
int native_shares_send(struct isolation_run *run, struct error **err); /* sends the kept shares to the agent */
int native_add_share(struct isolation_run *run, const struct isolation_share *s,
    void (*done)(int, const char *, void *), void *data, struct error **err);
int native_remove_share(struct isolation_run *run, const char *tag, void (*done)(int, const char *, void *), void *data,
    struct error **err);
void native_shares_done(struct isolation_run *run);
/* The directories below the machine's own, topmost first; -errno when they cannot be read. */
int native_lower(const struct machine *m, struct strv *ret, struct error **err);

/* pasta.c */
/* place: the folder whose 0/netns has the namespaces */
void pasta_arguments(struct strv *argv, const char *place, unsigned families, int host_access);
void native_network_find(struct isolation_run *run);
void native_network_start(struct isolation_run *run, pid_t gate); /* a process in its namespace */
void native_network_stop(struct isolation_run *run);

/* cgroup.c */
/* Finds or makes the machine's cgroup and moves the agent's first process into it, by events:
 * native_go_if_ready() when that is decided. */
void native_cgroup_begin(struct isolation_run *run);
int native_cgroup_decided(const struct isolation_run *run);
int native_cgroup_exists(const struct isolation_run *run);
const char *native_cgroup_path(const struct isolation_run *run); /* or NULL */
void native_cgroup_scope_gone(struct isolation_run *run, int status);
int native_cgroup_limits(struct isolation_run *run, uint64_t cpus, uint64_t memory, struct error **err);
/* Removes it; 1 when it is gone (or given up), 0 when native_finish_if_alone() will be called. */
int native_cgroup_remove(struct isolation_run *run);
void native_cgroup_done(struct isolation_run *run);
