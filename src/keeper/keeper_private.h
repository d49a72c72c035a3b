/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: its state, and what its files offer each other. */
#pragma once

#include "base/strv.h"
#include "http/http.h"
#include "keeper/keeper.h"
#include "keeper/stage.h"

enum {
	KEEPER_LOG_LINES_MAX = 50,
	KEEPER_TEXT_MAX = 400,
	KEEPER_RELAYS_MAX = 1024,
	/* connections at once, as inside: to one session's ssh-agent
	 * (agent/session/ssh_agent.c), to a mounted socket (agent/share/sockets.c) */
	KEEPER_AGENT_CONNECTIONS_MAX = 16,
	KEEPER_SOCKET_CONNECTIONS_MAX = 256,
};

struct keeper_share {
	struct keeper_share *next;
	char *tag, *host, *inside;
	int is_file, read_only;
	struct strv hidden, hidden_ids; /* as struct isolation_share has them */
	struct strv private;            /* places in it that are the machine's own */
	struct strv aliases;            /* other spellings of `inside`, where it is the host's place too */
	struct share_events *events;    /* NULL: its server tells none */
	/* A socket that the agent relays: the isolation does not know this share. */
	struct {
		struct keeper *keeper; /* NULL: it is none */
		uint32_t id;           /* of keeper_lend_socket() */
		uint32_t mode, uid, gid;
	} socket;
	int events_server; /* the server's end, until it has it; -1 after */
};

struct keeper_waiter {
	struct keeper *keeper;
	struct keeper_waiter *next;
	enum keeper_level level;
	struct keeper_wait_events events;
	void *data;
};

struct stop_waiter {
	struct stop_waiter *next;
	void (*gone)(void *data);
	void *data;
};

struct keeper {
	struct loop *loop;
	struct keeper_options options; /* strings are owned copies */
	const struct machine *machine;
	const struct isolation_ops *ops;
	struct isolation_run *run;
	struct transport *transport;      /* the isolation's; NULL while the agent is away */
	struct http_server *agent_server; /* requests of the agent to us */

	enum keeper_stage stage;
	char *init;              /* the program that the agent started as the machine's init */
	char *stage_text;        /* for people: the stage, or a finer text of isolation or agent */
	struct source *deadline; /* of the stage: boot, agent's return, stop */
	struct http_call *call;  /* version or boot */
	struct http_call *stop_call;
	int session_ready, init_ready; /* have been reached once, and hold */
	int was_ready;                 /* at some time */
	int told_failure;              /* somebody has heard it */
	int isolation_ended;
	struct strv warnings;
	struct keeper_failure *failure;
	struct keeper_waiter *waiters;
	struct stop_waiter *stop_waiters;
	struct pause_watcher *pause_watchers;
	char *paused; /* why the machine stands still; NULL: it runs */
	uint64_t stop_deadline_ms;
	int auto_ports_on;
	char *address;                   /* the machine's own on the host */
	uint64_t live_cpus, live_memory; /* limits changed since the start; 0: as the machine was started */
	struct source *linger;
	char *started;

	struct keeper_share *shares;
	struct own_folders *own_folders; /* of the home; NULL: none */
	uint32_t share_number;
	struct relays *relays;
	struct lent_sockets *lent_sockets;
	struct console *console;
	struct publisher *publisher;
	struct host_clock *clock;
	struct resolv_watch *resolv;
	char *authorities;   /* being installed */
	struct job *job;     /* the script that runs inside for us; NULL: none */
	int install_tried;   /* an init was to be installed in this life of the machine */
	int install_settled; /* init=install has become auto */
	int install_init_up; /* the init came up in STAGE_INSTALL or STAGE_SCRIPT */
};

/* keeper.c */
void keeper_fail(struct keeper *k, int code, const struct strv *log, const char *format, ...) PRINTF_LIKE(4, 5);
void keeper_tell_stage(struct keeper *k, const char *text);
void keeper_tell_warning(struct keeper *k, const char *text);
void keeper_enter(struct keeper *k, enum keeper_stage stage);

/* A socket in the machine's network, or -errno, as struct isolation_ops has it. */
int keeper_open_socket(struct keeper *k, enum isolation_socket kind);

/* waiters.c */
void waiters_tell_stage(struct keeper *k);
void waiters_tell_warning(struct keeper *k, const char *text);
void waiters_settle(struct keeper *k); /* tells everybody for whom it is decided */

/* pauses.c */
void keeper_set_paused(struct keeper *k, const char *why); /* NULL: it goes on */

/* install.c */
/* Whether the machine that is ready for sessions now is to look for an init first. */
int install_is_wanted(const struct keeper *k);
/* Entered with STAGE_INSTALL: runs the script. It leads to the restart of the init, so to
 * STAGE_BOOT, or to STAGE_READY with the init that there is. */
void install_enter(struct keeper *k);
/* script.c: STAGE_SCRIPT if the machine has a script that has not succeeded yet, else
 * STAGE_READY. */
enum keeper_stage script_next_stage(const struct keeper *k);
void script_enter(struct keeper *k); /* runs it; leads to STAGE_READY, or the boot fails */

void install_give_up(struct keeper *k, const char *why); /* STAGE_READY with a warning */

/* agent/calls.c: what the keeper asks of the agent in the course of the machine's life */
void agent_ask_version(struct keeper *k);
void agent_boot(struct keeper *k);
void agent_stop(struct keeper *k, uint64_t timeout_ms);
void agent_forget_calls(struct keeper *k);
/* A short request whose answer matters little (clock, resolv): logged when it fails. Takes body. */
void agent_tell(struct keeper *k, const char *method, const char *target, struct json_object *body);

/* agent/requests.c: what the agent asks of the keeper */
extern const struct http_route agent_routes[];

/* boot_request.c */
struct json_object *boot_request_new(struct keeper *k); /* owned */

/* shares.c */
/* from the machine's configuration; missing directories become warnings */
int shares_collect(struct keeper *k, struct error **err);
struct isolation_share *shares_describe(const struct keeper *k, size_t *ret_count); /* owned array, strings borrowed */
struct json_object *share_describe_inside(const struct keeper_share *s);            /* for the agent; owned */
void share_free(struct keeper_share *s);
void shares_free(struct keeper *k); /* once the machine has ended */

void shares_given(struct keeper *k); /* the isolation has taken what it was given with the shares */
/* Lists the host's directories that the machine may write to, by its settings and by live mounts:
 * as they are spelled, and resolved; not the home. */
void shares_list_writable(const struct keeper *k, struct strv *to);
struct keeper_share *share_find(struct keeper *k, const char *tag); /* NULL: there is none */

/* relays.c */
void relays_free(struct keeper *k);
/* whether there may be one more connection to the lent socket of this id */
int relays_may_lend(const struct keeper *k, uint32_t id, unsigned max);
/* A connection (a: the inside's end, b: the lent socket's; both taken) that ends when the socket is
 * taken back. 0, -errno or -EBUSY. */
int relays_lend(struct keeper *k, uint32_t id, int a, int b, struct buffer *first_to_b);
void relays_end_lent(struct keeper *k, uint32_t id);
