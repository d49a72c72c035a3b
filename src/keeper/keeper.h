/* SPDX-License-Identifier: Apache-2.0
 * The life of one running machine, as the API and the program see it. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "isolation/isolation.h"
#include "machine/machine.h"

struct keeper;

struct keeper_options {
	const struct machine *machine;         /* borrowed while the keeper lives */
	const struct isolation_ops *isolation; /* the table */
	const char *runtime_dir;               /* the machine's runtime folder */
	const char *log_dir;                   /* the directory of console.log and boot.log */
	const char *warning;                   /* of isolation_resolve(), or NULL */
	int rescue;                            /* boot without the image's init */
	uint64_t boot_timeout_ms;              /* from the start to the first possible session */
	void (*ended)(int code, void *data); /* the machine is gone: last callback; the owner frees the keeper after */
	void *data;
};

/* Copies what it keeps of the options. Opens the published ports: -EADDRINUSE and an error that
 * names the port. */
int keeper_new(struct loop *l, const struct keeper_options *o, struct keeper **ret, struct error **err);
void keeper_free(struct keeper *k);
DEFINE_CLEANUP(struct keeper, keeper_free)
/* Starts the isolation. A failure is told to everybody who waits; `ended` follows in any case. */
void keeper_start(struct keeper *k);
struct loop *keeper_loop(struct keeper *k);
int keeper_is_rescue(const struct keeper *k); /* it runs for its files only: no sessions, no shares */

/* ---- waiting until the machine is there ---- */
enum keeper_level { KEEPER_LEVEL_SESSION, KEEPER_LEVEL_INIT };

struct keeper_failure {
	int code; /* negative */
	char *text;
	struct strv log; /* last lines that may explain it */
};

struct keeper_waiter;
struct keeper_wait_events {
	void (*stage)(const char *text, void *data); /* may be NULL, as the next */
	void (*warning)(const char *text, void *data);
	/* Once, last: NULL when the level is reached. Borrowed. */
	void (*done)(const struct keeper_failure *failure, void *data);
};
/* Tells the present stage and all warnings at once, `done` too where it is decided already (then
 * NULL is returned). */
struct keeper_waiter *keeper_wait(struct keeper *k, enum keeper_level level, const struct keeper_wait_events *events,
    void *data);
void keeper_wait_cancel(struct keeper_waiter *w); /* done is not called */

/* ---- a machine that is paused ---- */
struct pause_watcher;
/* Tells why at once, if it is paused now, and then each change; why is NULL when it goes on. */
struct pause_watcher *keeper_watch_pauses(struct keeper *k, void (*changed)(const char *why, void *data), void *data);
void keeper_watch_pauses_cancel(struct pause_watcher *w);

/* ---- for the API ---- */
struct json_object *keeper_state(struct keeper *k);    /* the answer of GET /v1/state; owned */
struct json_object *keeper_settings(struct keeper *k); /* that of GET /v1/settings; owned */
/* Asks the inside to stop, kills at the deadline. May be called again to shorten the time. `gone`
 * is called when the machine is gone; cancel with keeper_stop_cancel(data). */
void keeper_stop(struct keeper *k, uint64_t timeout_ms, void (*gone)(void *data), void *data);
void keeper_stop_cancel(struct keeper *k, void *data);
/* A stream to the agent, for sessions and archives: -EAGAIN and a text when there is none now. */
int keeper_open_stream(struct keeper *k, int *ret_fd, struct error **err);
/* Whether a connection of which `size` bytes were read can be given to the agent, so that nothing
 * of it goes through the keeper any more. */
int keeper_can_give(const struct keeper *k, size_t size);
/* Gives it (fd, taken when it succeeds) with what was read of it. It ends with the agent then,
 * whatever becomes of the keeper's stages. */
int keeper_give(struct keeper *k, int fd, const struct buffer *raw, struct error **err);
/* Keeps a relay between a client's and a stream's descriptor (taken) until it ends. ssh_agent: an
 * id of keeper_add_ssh_agent() to forget once either is gone, or 0. */
int keeper_relay(struct keeper *k, int a, int b, struct buffer *first_to_b, uint32_t ssh_agent);
/* The same for a request whose answer upgrades the connection: relay_hold(). */
int keeper_relay_upgrade(struct keeper *k, int a, int b, struct buffer *first_to_b);
/* Lets the agent reach the ssh-agent whose socket is at this path now, by the id returned (never
 * 0). -EPERM and a text for the user: a symlink that the machine can change is on the way. */
int keeper_add_ssh_agent(struct keeper *k, const char *path, uint32_t *ret_id, struct error **err);
/* Lets the agent reach a socket (O_PATH; taken), with at most `max` connections at once, by the id
 * returned (never 0). */
uint32_t keeper_lend_socket(struct keeper *k, int socket, unsigned max);
/* Ends the connections that the inside has to a lent socket, too. */
void keeper_take_socket_back(struct keeper *k, uint32_t id);

/* Live limits: cpus (0: as the configuration says), bytes of memory (0: as it is). -EOPNOTSUPP: at
 * the next start. */
int keeper_set_limits(struct keeper *k, uint64_t cpus, uint64_t memory, struct error **err);

/* Live ports. Add: 0, -EEXIST, -EOPNOTSUPP (a rescue keeper) or what machine_publish_open()
 * says. Remove: 0, -ENOENT or -EOPNOTSUPP. */
int keeper_add_port(struct keeper *k, const struct machine_publish *spec, struct error **err);
int keeper_remove_port(struct keeper *k, const struct machine_publish *spec, struct error **err);

/* Whether what listens inside opens by itself, and at which address of the machine's (NULL: as it
 * is). 0 or -EOPNOTSUPP. */
int keeper_set_auto_ports(struct keeper *k, int on, const char *address, struct error **err);

/* Closes what has opened by itself where another machine is to publish a port. It stays closed
 * there as long as its listener stays. 0, -ENOENT: there was none, or -EOPNOTSUPP. */
int keeper_yield_port(struct keeper *k, const struct machine_publish *spec, struct error **err);

/* Live shares. done is called once, also for errors. */
typedef void (*keeper_done_fn)(int code, const char *text, void *data);
void keeper_add_share(struct keeper *k, const char *host, const char *inside, int read_only, keeper_done_fn done,
    void *data);
void keeper_remove_share(struct keeper *k, const char *inside, keeper_done_fn done, void *data);
