/* SPDX-License-Identifier: Apache-2.0
 * Process 1 of the engine's place, and what it and the engine say to each other.
 *
 * The monitor is the parent of the containers, keeps what must outlive the engine, and starts the
 * engine, again when it has ended. It has the same rights as the engine. It reads no file but the
 * number that crun writes, and no byte of a container.
 *
 * Messages are packets of one JSON object, with descriptors beside it. The engine's:
 *   {"run":ID,"argv":[...],"standard":BITS,"held":BITS,"note":TEXT}   runs crun; descriptors of the
 *        standard streams first, then those to hold, each in ascending order of the bits
 *   {"close":ID,"descriptor":N}          one that is held
 *   {"forget":ID}                        of one that has ended or failed
 * The monitor's, for each container at the engine's start, and when something has changed:
 *   {"container":ID,"state":N,"pid":N,"status":N,"finished":NS,"note":TEXT,"held":BITS}
 * with the descriptors that this engine does not have yet; and after the first round
 *   {"complete":true} */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum {
	ENGINE_MONITOR = 5, /* the engine's descriptor of the socket */
	MONITORED_MAX = 4096,
	NOTE_MAX = 4096,
	MONITOR_WORDS_MAX = 64,
};

/* The descriptors that outlive an engine. */
enum held {
	HELD_INPUT,  /* written to by the engine; none with a terminal */
	HELD_OUTPUT, /* or the terminal's master */
	HELD_ERROR,
	HELD_RELAY_READ,
	HELD_RELAY_WRITE,
	HELD_SPOOL_OUT,
	HELD_SPOOL_ERR,
	HELD_USER, /* namespaces */
	HELD_NETWORK,
	HELD_CONSOLE, /* a listening socket, to which crun sends the terminal; until crun has ended */
	HELD_PROCESS, /* the pidfd */
	HELD_COUNT,
};

/* FAILED: crun has. */
enum monitored_state { MONITORED_STARTING, MONITORED_RUNNING, MONITORED_ENDED, MONITORED_FAILED, MONITORED_STATES };

struct monitor_report {
	const char *id, *note;
	enum monitored_state state;
	pid_t pid;
	int status;       /* as a shell gives it */
	int64_t finished; /* ns */
	int fds[HELD_COUNT];
};

/* holm-agent --monitor GO: what engine_place() executes. Returns the exit status. */
int monitor_main(char *go);

/* ---- the engine's side: monitor_link.c ---- */
struct engine;
struct container;
struct strv;
struct error;

/* Reports the containers that are there to container_report(), and then what changes. 0 or
 * -errno. */
int monitor_connect(struct engine *e, struct error **err);
/* Has crun run, with these standard streams (-1: /dev/null) and descriptors to hold (-1: none). All
 * are borrowed. 0 or -errno. */
int monitor_run(const char *id, const struct strv *argv, const int standard[3], const int fds[static HELD_COUNT],
    const char *note);
void monitor_close(const char *id, enum held which);
void monitor_forget(const char *id);
