/* SPDX-License-Identifier: Apache-2.0
 * --ssh: ssh agents for RUN --mount=type=ssh.
 *
 * "ID" means the agent of $SSH_AUTH_SOCK, "ID=SOCKET" another one, "ID=KEY[,KEY]" an ssh-agent that
 * the builder starts for the command, with these keys. A process beside the builder serves the
 * connections of the command (ssh_relay.c); nothing but the requests for a list of keys and for a
 * signature reaches the agent, as with BuildKit. */
#pragma once

#include <sys/types.h>

#include "base/strv.h"
#include "image/builder/engine.h"
#include "image/library/library.h"

#define BUILD_SSH_DEFAULT "default" /* the id that a mount has where it names none */

/* Checks the texts: 0, or -errno with a text for people. */
int build_ssh_check(const struct strv *given, struct error **err);
int build_ssh_is_given(const struct strv *given, const char *id);
/* Adds the variables that make git use "default". */
void build_ssh_add_git(const struct strv *given, struct strv *environment);

/* A connection to an agent. */
struct ssh_agent {
	int fd;        /* -1: none */
	pid_t pid;     /* of one that the builder has started; 0: the user's */
	pid_t command; /* with which that one ends */
	int alive;     /* and which ends when this is closed; -1: the user's */
};
int ssh_agent_open(struct library *l, const struct strv *given, const char *id, struct ssh_agent *ret,
    struct error **err);
void ssh_agent_close(struct ssh_agent *a);

/* A socket of a container, and the agent that it leads to. */
struct ssh_lane {
	char *name; /* of the socket (src/agent/engine/lent_sockets.h) */
	struct ssh_agent agent;
};

/* Starts the process that serves the lanes of a running container. Its pid, or -errno. */
pid_t ssh_relay_start(struct build_engine *e, const char *container, const struct ssh_lane *lanes, size_t count,
    struct error **err);
void ssh_relay_stop(pid_t pid); /* 0: none */

/* The pure part. Whether the agent may get such a request, by its type. */
int ssh_request_is_allowed(unsigned char type);
