/* SPDX-License-Identifier: Apache-2.0
 * A session's own process: how it gets into the machine and becomes the command. */
#pragma once

#include <sys/types.h>

#include "agent/core/boot_request.h"
#include "agent/session/request.h"
#include "agent/session/sftp.h"

/* Everything is borrowed. */
struct session_plan {
	const struct session_request *request;
	const struct boot_request *boot;
	int machine; /* pidfd of the machine's init, whose namespaces are joined; -1: stay where we are (tests) */
	int join;    /* CLONE_NEW* bits: which of them */
	/* the machine has a user namespace: confined as its init is (confine.h), and out of reach
	 * until the command runs */
	int confined;
	int cgroup;                      /* directory of the session's own cgroup, -1 none */
	uint64_t number;                 /* of the session, for names */
	uint64_t bus_deadline_ms;        /* until when the user's bus may come up (monotonic); 0: not any more */
	const struct session_sftp *sftp; /* NULL: none is wanted, or the agent has none */
	int standard[3];                 /* the child's ends; -1: /dev/null. Not used with a terminal */
};

/* Forks. *ret_helper is a child to be reaped that ends soon; the session's own process is our child
 * too, and comes as a message. Messages on *ret_channel (owned by the caller): {"pid":N} (the
 * session's process, as we see it), {"fd":"pty"|"ssh"} with a descriptor, {"note":TEXT},
 * {"started":PID INSIDE,"uid":U}, {"error":TEXT,"status":125-127}. End of the channel without
 * "error": the command runs. */
int session_fork(const struct session_plan *p, pid_t *ret_helper, int *ret_channel);
