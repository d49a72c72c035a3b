/* SPDX-License-Identifier: Apache-2.0
 * The engine: the process in a machine that runs its containers (docs/engine.md). Private to this
 * folder; the agent's half is src/agent/service/engine.c.
 *
 * One process, one loop. It has the rights of root in the machine, and a root file system and a pid
 * namespace of its own (place.c). The containers are not its children but process 1's (monitor.h),
 * so they outlive it. */
#pragma once

#include <sys/types.h>

#include "agent/engine/monitor.h"
#include "agent/engine/network.h"
#include "agent/engine/record.h"
#include "agent/engine/stdio.h"
#include "base/loop.h"
#include "docker/log.h"
#include "docker/ports.h"
#include "http/http.h"
#include "idmap/idmap.h"

#define ENGINE_MACHINE "/machine"       /* the machine's own file system */
#define ENGINE_CONTAINERS "/containers" /* ID/: upper, work, log; a folder of the host */
#define ENGINE_RUN "/run/containers"    /* ID/: root, config.json */
#define ENGINE_IMAGES "/run/images"     /* HEX/N, own-HEX/N: the trees of an image, topmost first */
#define ENGINE_CRUN_STATE "/run/crun"
#define ENGINE_RECORDS "/var/lib/holm/containers" /* in the machine */
#define ENGINE_RESTART_MARK ENGINE_RECORDS "/.restart"

enum {
	ENGINE_CHANNEL = 3,     /* messages with the agent (agent/core/channel.h) */
	ENGINE_CONNECTIONS = 4, /* clients' connections, with what was read of them */
	ENGINE_LAYERS_MAX = 512,
	ENGINE_STOP_SECONDS = 10, /* until SIGKILL, where nobody says */
	ENGINE_SHM_SIZE = 64 * 1024 * 1024,
};

struct engine {
	struct loop *loop;
	struct http_server *server;
	int records, folders; /* directories: records in the machine, the containers' own */
	char *crun;
	struct idmap ids;             /* of containers, in the machine's ids */
	struct idmap own_ids;         /* of those with --userns */
	uint32_t uid, gid;            /* the machine's user */
	struct container *containers; /* newest first */
	struct exec *execs;
	struct archive *archives;
	struct event_log *events; /* NULL: none yet */
	struct image *images;
	int stopping;
	uint64_t mount_number;        /* of the next request to the agent for a host path */
	unsigned agents;              /* that were started again since this engine began */
	struct strv nameservers;      /* of the machine */
	char *host;                   /* an address of the host's loopback; NULL: out of reach */
	char *outward;                /* the host's own address, or NULL */
	struct bridge bridge;         /* of the default network */
	int has_bridge;               /* else containers use the machine's network */
	unsigned limits;              /* that the machine has: bits of docker_limit */
	struct network *networks;     /* by name */
	struct source *docker_socket; /* NULL: no container has asked for it */
	struct source *unanswered;    /* until then clients wait; NULL: they are served */
};

/* ---- containers ---- */

/* STOPPED and GONE answer with 204, after the end and the removal; EXIT and REMOVED with the exit
 * status. A policy or a restart that starts the container again holds nobody back, as with
 * Docker. */
enum wait_kind { WAIT_NOT, WAIT_STOPPED, WAIT_EXIT, WAIT_REMOVED, WAIT_GONE };

struct waiter {
	struct waiter *next;
	struct container *container;
	struct http_exchange *exchange;
	enum wait_kind kind;
	int holds; /* the container goes with the client */
};

struct container {
	struct container *next;
	struct engine *engine;
	struct record record;
	pid_t pid; /* 0: does not run */
	struct source *kill_timer, *cleaning;
	int held;       /* the monitor knows it */
	int starting;   /* crun or the starter runs */
	int by_starter; /* this run (starter.h) */
	uid_t user;     /* of its process, in the machine's ids */
	gid_t group;
	int process; /* pidfd; -1: none */
	int mounts;  /* the mount namespace of its processes, for processes_kill(); -1: not known */
	int64_t run; /* ns: when this run began; 0: none */
	int64_t finished;
	struct mounting *mounting; /* while a start's mounts are made */
	struct stdio *stdio;       /* from the first attach or the start to the end */
	struct docker_log_writer log;
	int log_directory;             /* -1: none */
	struct http_exchange *starter; /* waits for the start */
	enum wait_kind starter_kind;   /* its wait after that, or WAIT_NOT */
	struct waiter *waiters;
	int remove;       /* as soon as it has ended */
	int removing;     /* the cleaning removes its folder, too */
	int preparing;    /* it starts, and waits for its ports, its image or its mounts */
	int drop_volumes; /* at the removal: those that are its alone */
	int again;        /* starts as soon as it has ended */
	int stopping;     /* the end that comes was asked for by stop or restart */
	int restarting;   /* the start that comes was asked for by restart */
	/* The policy's (policy.c): whether it starts the container as soon as it has ended, the
	 * delay until then, and what waits for that. */
	int policy_wants;
	uint64_t policy_delay_ms, policy_failures;
	struct source *policy_timer;
	struct prune *prune;   /* waits for its removal */
	struct health *health; /* NULL: no check, or it never ran */
	struct lent_socket *lent_sockets;
	struct source *holder_timer; /* until a client has to hold it (stack.h) */
	int waits_below;             /* the start, for the clean-up of the container below (stack.h) */
	uint32_t address;            /* on the network with its default route; 0: none */
	struct container_namespaces namespaces;
	int ipc, pids;        /* namespaces of other containers, for the start; -1: none */
	struct lease *leases; /* its addresses (lease.h) */
	size_t lease_count;
	struct resolver *resolver; /* NULL: none (resolver.h) */
	int has_ports;             /* some were asked for */
	struct docker_ports ports; /* on the host, one a socket */
	int ended, status;         /* the process has; its exit status */
	int paused;
	struct pausing *pausing; /* while it freezes */
	int oom;                 /* memory.events of its cgroup; -1: none */
	int64_t oom_kills;       /* of those that were told; -1: of an engine before this one */
	int pids_full;           /* the last run could not make a process, by PidsLimit */
	struct source *oom_source;
};

struct container *container_new(struct engine *e, struct record *r); /* takes *r */
void container_free(struct container *c);
/* Finds one by the whole id, the name, or the beginning of its id alone. NULL and an error in
 * Docker's words. */
struct container *container_find(struct engine *e, const char *name, struct error **err);
/* The same; answers the request where there is none. */
struct container *engine_find(struct engine *e, struct http_exchange *x, const char *name);
/* Checks a name for a container, with a slash in front or without, that no other one has. 0,
 * -EINVAL or -EEXIST in Docker's words. *ret_name: borrowed. */
int container_check_name(const struct engine *e, const char *wish, const char **ret_name, struct error **err);
int container_load_all(struct engine *e, struct error **err);
void container_save(struct container *c);
/* Starts it; the exchange (or NULL) is answered when the process runs or cannot. */
void container_start(struct container *c, struct http_exchange *x);
void engine_tell_stopped(struct engine *e); /* once nothing runs any more, if the machine stops */
/* Serves clients, once no container is on its way that a new engine starts. */
void engine_serve(struct engine *e);
void container_starter_gone(void *data);
void container_go_on(struct container *c); /* a start that has waited for another container */
void container_signal(struct container *c, int number);
/* Sends its stop signal, then SIGKILL after this time; -1: its own. */
void container_stop(struct container *c, int64_t seconds);
/* Removes record and files, after the process if it runs; who waits is told. */
void container_remove(struct container *c);
struct stdio *container_stdio(struct container *c); /* made where there is none */
void container_open_log(struct container *c);
void container_commit(struct container *c); /* its log has all output that was read */
void container_clean(struct container *c);  /* removes mounts and files of its run */
/* Of the container's process; what the monitor has said. */
void container_started(struct container *c, pid_t pid);
void container_ended(struct container *c, int status);
void container_failed(struct container *c);
int64_t container_now(void);

/* adopt.c: takes a report of the monitor in; the descriptors that it leaves are the caller's. */
void container_report(struct engine *e, struct monitor_report *r);
/* After the first round: a container that should run and does not has ended, and leftovers of
 * earlier engines are removed. */
void containers_settle(struct engine *e);
/* A text that the monitor keeps for the next engine. Owned. */
char *container_note(const struct container *c);

/* policy.c: restart policies */
/* At an end (ran), or a start that failed. */
void policy_decide(struct container *c, int ran);
/* The container has ended and is cleaned up. 1: it will start by itself. */
int policy_go_on(struct container *c);
void policy_cancel(struct container *c);          /* a client stops, kills, starts or removes it */
int policy_is_waiting(const struct container *c); /* "restarting" */
void policy_start_all(struct engine *e);          /* those that a new engine has to start */
/* Leaves or takes away the mark by which the agent starts the engine at the next boot. */
void policy_mark(struct engine *e);

void prune_gone(struct container *c); /* update.c: it is removed */

/* pause.c */
void container_thaw(struct container *c);         /* a paused one goes on, also one that is about to pause */
void container_found_paused(struct container *c); /* it may be, by an engine before this one */
/* Its end is near. */
void container_forget_pause(struct container *c);
/* Refuses a request of a paused container: 1, after the answer, or 0. doing: "exec". */
int container_refuse_paused(const struct container *c, struct http_exchange *x, const char *doing);

/* waiters.c */
void waiters_add(struct container *c, struct http_exchange *x, enum wait_kind kind);
/* Waits for the removal, and removes the container if the client goes away before it. */
void waiters_hold(struct container *c, struct http_exchange *x);
void waiters_tell(struct container *c, int removed);
void waiters_started(struct container *c); /* it runs: answers who has started it */
struct json_object *waiters_answer(const struct container *c);

/* images.c: calls ready(code, text, data) once, later or at once, when the trees of the container's
 * image are mounted, with the owners that its ids want. */
typedef void (*image_ready_fn)(int code, const char *text, void *data);
void image_want(const struct container *c, image_ready_fn ready, void *data);
void images_load(struct engine *e);                                  /* those that an earlier engine has mounted */
void image_message(struct engine *e, struct json_object *o, int fd); /* takes fd */
void images_ask_again(struct engine *e);                             /* another agent has to answer */
/* A container is gone: without another one of its image the image is unmounted some time later. */
void image_maybe_unused(const struct container *c);
/* Mounts the container's root file system at ENGINE_RUN/ID/root, or at this directory. 0 or
 * -errno. */
int image_mount_root(struct container *c, struct error **err);
int image_mount_root_at(struct container *c, const char *root, struct error **err);
/* The container's upper directory, in its folder; owned. Files that belong to the machine's ids are
 * in another one, which archives of machines leave as it is (idmap/storage.h). */
char *image_upper(const struct container *c);
/* Makes it, if there is none yet. 0 or -errno. */
int image_make_upper(struct container *c, struct error **err);
/* Opens the root directory of the image alone, mounted at `place` if need be (in a mount namespace
 * of the caller's): descriptor or -errno. */
int image_open_files(const struct container *c, const char *place, struct error **err);

/* logs.c: an attach that shows the log first; answers. */
void logs_attach(struct container *c, struct http_exchange *x, const struct stdio_client *client);

const char *container_state(const struct container *c); /* "running" and the like; static */
/* list.c: an entry of GET /containers/json; owned. sizes: NULL: without (sizes.h). */
struct sizes;
struct json_object *container_summary(const struct container *c, const struct sizes *sizes);

/* docker_socket.c: a detached mount of a socket that leads to this machine's engine. Descriptor or
 * -errno. */
int docker_socket_tree(struct engine *e, struct error **err);

/* archive.c */
void archive_forget(struct container *c); /* it goes away: its archives lose it */

/* ports.c: binds the ports on the host that the container publishes. For one that starts, it calls
 * container_bound() once, later or at once; for one that runs already, it finds out those it
 * has. */
void container_bind_ports(struct container *c);
void container_bound(struct container *c, int code, const struct error *err);
void container_open_ports(struct container *c); /* it runs: connections may come */
void container_close_ports(struct container *c);
void container_ports_message(struct engine *e, struct json_object *o);
/* Closes what an engine before this one left of containers that do not run. */
void containers_settle_ports(struct engine *e);
/* Another agent passes requests on: what the last one may have lost is said again. */
void containers_ask_ports_again(struct engine *e);
/* For inspect and for a list; owned. */
struct json_object *container_ports_object(const struct container *c);
struct json_object *container_ports_list(const struct container *c);
struct json_object *container_ports_wanted(const struct container *c); /* as -p has them; owned */

/* Owned: --hostname, that of the network's owner, or the short id. */
char *container_hostname(const struct container *c);
/* bundle.c: writes config.json and what is mounted beside it. 0 or -errno. */
int bundle_write(struct container *c, struct error **err);
/* Writes hosts and resolv.conf again, after a change of its networks. */
void bundle_refresh_names(const struct container *c);
struct bundle_command {
	const struct strv *words, *env;
	const char *user, *working_directory;
	int terminal, privileged;
	unsigned rows, columns;
};
/* Plans a command in a running container: *ret is for command_done(). 0, or -errno and a text. */
struct command;
int bundle_command(struct container *c, const struct bundle_command *wish, struct command *ret, struct error **err);

/* crun.c: crun with these words behind its own options, and its errors in the file `log`. */
void crun_words(const struct engine *e, const char *log, const char *const *words, struct strv *ret);
/* Reads the last error of such a log, in words that clients know. Owned; *ret_code: a positive
 * errno, ENOENT or EACCES where the program is the reason. */
char *crun_error(const char *log, const char *program, int *ret_code);

/* exec.c: the container goes away with all its commands. */
void exec_free_of(struct container *c);
/* It has ended: its health check is given up. Other commands end with it, and clients may still ask
 * for their statuses. */
void exec_forget_probe(struct container *c);
struct json_object *exec_list(const struct container *c); /* the ids of those that run; owned, NULL for none */

/* main.c, for both processes of this folder */
void engine_open_log(const char *program);
void engine_raise_limits(void);

/* ---- the API ---- */
void engine_dispatch(struct http_exchange *x, void *engine);
void engine_error(struct http_exchange *x, int code, const struct error *err);
/* Ends a request that has waited: 204, or the error. x is NULL where its client is gone. */
void engine_answer(struct http_exchange *x, int code, const struct error *err);
/* The filters of a prune: labels in *ret (owned), and until in ns (0: none). 0 or -EINVAL. */
int engine_prune_filters(struct http_exchange *x, struct json_object **ret, int64_t *ret_until, struct error **err);
void engine_not_found(struct http_exchange *x, const char *text);
char *engine_query(struct http_exchange *x, const char *key); /* owned, or NULL */
/* The parameters h and w: 0 or -EINVAL. */
int engine_get_size(struct http_exchange *x, unsigned *ret_rows, unsigned *ret_columns, struct error **err);
int engine_flag(struct http_exchange *x, const char *key, int otherwise);

typedef void (*engine_handler_fn)(struct engine *e, struct http_exchange *x, const char *name);
void engine_info(struct engine *e, struct http_exchange *x, const char *name);
void engine_info_add_constants(struct json_object *o); /* info.c */
void engine_create(struct engine *e, struct http_exchange *x, const char *name);
void engine_list(struct engine *e, struct http_exchange *x, const char *name);
void engine_inspect(struct engine *e, struct http_exchange *x, const char *name);
void engine_start(struct engine *e, struct http_exchange *x, const char *name);
void engine_run(struct engine *e, struct http_exchange *x, const char *name);
void engine_stop(struct engine *e, struct http_exchange *x, const char *name);
void engine_kill(struct engine *e, struct http_exchange *x, const char *name);
void engine_restart(struct engine *e, struct http_exchange *x, const char *name);
void engine_pause(struct engine *e, struct http_exchange *x, const char *name);
void engine_unpause(struct engine *e, struct http_exchange *x, const char *name);
void engine_stats(struct engine *e, struct http_exchange *x, const char *name);
void engine_rename(struct engine *e, struct http_exchange *x, const char *name);
void engine_top(struct engine *e, struct http_exchange *x, const char *name);
void engine_update(struct engine *e, struct http_exchange *x, const char *name);
void engine_prune(struct engine *e, struct http_exchange *x, const char *name);
void engine_export(struct engine *e, struct http_exchange *x, const char *name);
void engine_df(struct engine *e, struct http_exchange *x, const char *name);
void engine_changes(struct engine *e, struct http_exchange *x, const char *name);
void engine_layer(struct engine *e, struct http_exchange *x, const char *name);
void engine_images(struct engine *e, struct http_exchange *x, const char *name);
void engine_archive(struct engine *e, struct http_exchange *x, const char *name);
void engine_socket(struct engine *e, struct http_exchange *x, const char *name);
void engine_wait(struct engine *e, struct http_exchange *x, const char *name);
void engine_remove(struct engine *e, struct http_exchange *x, const char *name);
void engine_attach(struct engine *e, struct http_exchange *x, const char *name);
void engine_resize(struct engine *e, struct http_exchange *x, const char *name);
void engine_exec_resize(struct engine *e, struct http_exchange *http, const char *name);
void engine_logs(struct engine *e, struct http_exchange *x, const char *name);
void engine_exec_create(struct engine *e, struct http_exchange *http, const char *name);
void engine_exec_start(struct engine *e, struct http_exchange *http, const char *name);
void engine_exec_inspect(struct engine *e, struct http_exchange *http, const char *name);
