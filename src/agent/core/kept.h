/* SPDX-License-Identifier: Apache-2.0
 * Descriptors that outlive an agent of a VM: its reaper keeps them, and gives them to the next
 * agent. */
#pragma once

enum kept {
	KEPT_CONSOLE,            /* the master of the init's terminal */
	KEPT_ENGINE_CHANNEL,     /* the agent's ends of the engine's sockets */
	KEPT_ENGINE_CONNECTIONS, /* (agent/engine/engine.h) */
	KEPT_ENGINE_PLACE,       /* the pidfd of who waits for the monitor */
	KEPT_COUNT,
};

/* Has the reaper keep a copy of fd from now on, or none (-1). Where no reaper starts the agent
 * again (platform.is_respawned) it must not be called. */
void kept_put(enum kept which, int fd);
/* Takes the descriptor that an agent before this one has left: owned, or -1. A second call finds
 * none. */
int kept_take(enum kept which);

/* ---- both ends of the socket ---- */
int kept_send(int socket, enum kept which, int fd); /* 0 or -errno */
/* Takes one message in: 1; 0 when there is none now; -ECONNRESET at the end, or another -errno. */
int kept_receive(int socket, int fds[static KEPT_COUNT]);
