/* SPDX-License-Identifier: Apache-2.0
 * The commands' requests to a machine's keeper, and the start of a keeper when there is none. See
 * docs/keeper-api.md. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "machine/machine.h"

/* A connection to the machine's keeper: descriptor, or -ESRCH (no text) when none answers there. */
int client_connect(const char *name, struct error **err);
/* The same for the machine's docker.sock. -ESRCH also for a machine that has no containers. */
int client_connect_docker(const char *name, struct error **err);

enum client_level { CLIENT_SESSION, CLIENT_INIT };
enum client_flag {
	CLIENT_RESCUE = 1, /* without the image's init */
};
/* Makes sure that the machine runs and has got as far as `level`: starts a keeper when there is
 * none. Shows progress, warnings and, when the boot fails, the last lines of its log. SIGINT,
 * SIGTERM and SIGHUP during a boot that this call began stop the machine and give -ECANCELED.
 * *ret_started (may be NULL): this call booted it. */
int client_start(const char *name, enum client_level level, unsigned flags, int *ret_started, struct error **err);
/* The exit status for client_start's failure: 130 when a signal ended it (nothing is shown then),
 * else EXIT_HOLM with the error shown. */
int client_start_failure(int code, const struct error *err);

/* The keeper's /v1/state, or -ESRCH (no text) when the machine is stopped. Never waits past the
 * deadline. */
int client_state(const char *name, uint64_t deadline_ms, struct json_object **ret, struct error **err);
/* The answer of a GET of the keeper; otherwise as client_state(). */
int client_get(const char *name, const char *target, uint64_t deadline_ms, struct json_object **ret,
    struct error **err);
/* "stopped", "starting", "running", "paused" or "stopping"; *ret_state (may be NULL) is set when
 * the keeper answered (owned). */
const char *client_state_word(const char *name, uint64_t deadline_ms, struct json_object **ret_state);

/* Asks the machine to stop and waits until it is gone. A stopped machine is fine; a start that
 * began before fails. 0 or -errno. */
int client_stop(const char *name, uint64_t timeout_ms, struct error **err);
/* Ends the machine as client_stop() does, but starts of other commands go on. 0 or -errno. */
int client_end(const char *name, uint64_t timeout_ms, struct error **err);
/* Waits (not for ever) until nobody holds the machine's lock any more. */
int client_wait_gone(const char *name, struct error **err);
/* A pidfd of the machine's keeper, which becomes readable when the machine is gone; -1: none
 * runs. */
int client_keeper_open(const char *name);
/* Watches for a keeper that announces its socket: a descriptor that becomes readable then, or -1.
 * */
int client_watch_socket(const char *name);
/* One request with a JSON answer, for a running machine (-ESRCH when it is not). */
int client_call(const char *name, const char *method, const char *target, struct json_object *body,
    uint64_t deadline_ms, struct error **err);

/* Both locks of a stopped machine, for commands that need it to stay stopped. */
struct client_locks {
	int config, machine;
};
#define CLIENT_LOCKS_NONE ((struct client_locks){ -1, -1 })
int client_lock_stopped(const char *name, struct client_locks *ret, struct error **err);
void client_locks_done(struct client_locks *l);
#define AUTO_LOCKS CLEANUP(client_locks_done)
