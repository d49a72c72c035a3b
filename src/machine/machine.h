/* SPDX-License-Identifier: Apache-2.0
 * The model of a machine: what machine.json says, where its files are, who holds its lock. No
 * processes here.
 *
 *   $DATA/machines/NAME/machine.json   the configuration, replaced whole
 *   $DATA/machines/NAME/lock           held (exclusive) by the keeper while it lives: the machine's
 *                                      liveness
 *   $DATA/machines/NAME/stops          a byte for each `stop`, so that a start can tell that one
 *                                      came after it
 *   $DATA/machines/NAME/config.lock    held while machine.json is changed, and by
 *                                      rm/rename/clone/export
 *   $DATA/machines/NAME/{console,boot}.log   init's console; keeper's, kernel's and agent's lines
 *   $DATA/machines/NAME/script         of `create --script`, until it has succeeded at a boot
 *   $DATA/machines/NAME/disk.qcow2     vm isolation
 *   $DATA/machines/NAME/native/        native isolation: upper/ (what the machine wrote), work/,
 *                                      bases (src/isolation/native/disk.c)
 *   $DATA/default                      the default machine's name
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/port_spec.h"
#include "base/strv.h"

enum machine_isolation { MACHINE_ISOLATION_AUTO, MACHINE_ISOLATION_VM, MACHINE_ISOLATION_NATIVE };
enum machine_home { MACHINE_HOME_RW, MACHINE_HOME_RO, MACHINE_HOME_NONE };
enum machine_wait { MACHINE_WAIT_SESSION, MACHINE_WAIT_INIT };
enum machine_ca { MACHINE_CA_HOST, MACHINE_CA_NONE };
enum machine_init { MACHINE_INIT_AUTO, MACHINE_INIT_IMAGE, MACHINE_INIT_HOLM, MACHINE_INIT_INSTALL };

/* How the share server of a virtual machine behaves; in native isolation the host's own file system
 * is what the machine sees. */
enum machine_share_key {
	MACHINE_SHARE_CACHE,
	MACHINE_SHARE_EVENTS,
	MACHINE_SHARE_LOCKS,
	MACHINE_OWNER_MAP,
	MACHINE_SHARE_KEYS,
};

struct machine_mount {
	char *host, *inside; /* absolute, normalized */
	int read_only;
};

struct machine_publish {
	char *ip; /* NULL: 127.0.0.1 and ::1 */
	uint16_t host, inside;
	int udp;
};

struct machine {
	char *name;
	char *id;                         /* 32 hex digits, random, for ever: the machine id given to the inside */
	char *created;                    /* RFC 3339 */
	char *image;                      /* canonical reference as created from */
	char *image_digest;               /* "sha256:..." of the image's manifest */
	char *image_disk;                 /* absolute path of the image's read-only ext4 file */
	struct json_object *image_config; /* Env, WorkingDir, User, StopSignal, Labels of the image's configuration */
	char *platform;                   /* "linux/amd64" */
	/* native form: the image's layers as directories (absolute), lowest first; empty in vm
	 * form */
	struct strv image_trees;
	enum machine_isolation isolation; /* as the user set it */
	/* the isolation that its disk was made for, VM or NATIVE; AUTO only before it is made. It
	 * decides the meaning of AUTO */
	enum machine_isolation form;
	enum machine_home home_mount;
	enum machine_init init;
	enum machine_ca ca;                    /* certificate authorities besides the image's */
	enum machine_wait wait;                /* how far the machine has booted when a session starts */
	int share_choices[MACHINE_SHARE_KEYS]; /* places among the words of machine_share_keys[] */
	char *init_path;    /* the image's init as found when created, or NULL: none (holm's own is used) */
	uint64_t cpus;      /* 0: half the host's, in native form all */
	uint64_t memory;    /* bytes; 0: half the host's, at least 1 GiB */
	uint64_t disk_size; /* bytes; 0: 100 GiB */
	uint64_t pids;      /* processes and threads of a native machine; 0: a third of the host's */
	char *home;         /* absolute host path of the home */
	char *user;         /* name inside; default the host's */
	uint32_t uid, gid;
	char *kernel, *kernel_modules; /* NULL: the bundle's */
	/* places below the home that are the machine's own; only if home_private_set, else the
	 * default: machine_home_private() */
	struct strv home_private;
	int home_private_set;
	struct strv env; /* K=V for every session */
	struct machine_mount *mounts;
	size_t mount_count;
	struct machine_publish *publish;
	size_t publish_count;
	int host_access;
	int autostart;   /* a place in machine_autostart_words: 1 starts it at the user's login */
	int auto_ports;  /* a place in machine_auto_ports_words: 1 opens what listens inside on the host */
	char *address;   /* its own on the host's loopback interface: "127.64.0.1" */
	int socketcall;  /* native: 32-bit programs may open sockets by socketcall(2) */
	char *transport; /* NULL: "serial"; "vsock" by setting */
	char *proxy;     /* NULL: the host's; "none"; or a URL */
};

/* The words for the settings, in the order of the enumerations, NULL-terminated (choices of the
 * option tables). */
extern const char *const machine_wait_words[], *const machine_ca_words[], *const machine_autostart_words[],
									      *const machine_auto_ports_words[];
extern const char *const machine_isolation_words[], *const machine_home_words[], *const machine_init_words[],
										     *const machine_transport_words[];

enum { MACHINE_PRIVATE_MAX = 32 };
enum { MACHINE_PUBLISH_MAX = 256, MACHINE_PUBLISH_SOCKETS = 2 };
/* The addresses at which a port without one listens, one a socket. */
extern const char *const machine_publish_loopback[MACHINE_PUBLISH_SOCKETS];

/* The script of a machine's creation, beside machine.json until it has succeeded. */
#define MACHINE_SCRIPT "script"
enum { MACHINE_SCRIPT_MAX = 128 * 1024 };

/* Bounds of `set` and of machine.json. */
#define MACHINE_CPUS_MAX 512
#define MACHINE_MEMORY_MIN (UINT64_C(64) << 20)
#define MACHINE_MEMORY_MAX (UINT64_C(16) << 40)
#define MACHINE_PIDS_MIN 64
#define MACHINE_PIDS_MAX (UINT64_C(4) << 20) /* PID_MAX_LIMIT */
#define MACHINE_DISK_MIN (UINT64_C(64) << 20)
#define MACHINE_DISK_MAX (UINT64_C(64) << 40)

/* A key of `set`, its name in machine.json, and its words, the default first; NULL-terminated
 * (choices of the option tables). */
struct machine_share_spec {
	const char *key, *json;
	const char *const *words;
	int is_option; /* the share server has an option of the key's name */
};
extern const char *const machine_share_cache_words[],
    *const machine_share_events_words[], *const machine_owner_map_words[], *const machine_share_locks_words[];
extern const struct machine_share_spec machine_share_keys[MACHINE_SHARE_KEYS];

/* A machine with a fresh id, the time of creation, and the calling user's name, ids and home; the
 * rest empty. Owned. */
struct machine *machine_new(const char *name);
void machine_free(struct machine *m);
DEFINE_CLEANUP(struct machine, machine_free)
#define AUTO_MACHINE CLEANUP(machine_freep)

int machine_name_check(const char *name, struct error **err); /* [a-z0-9][a-z0-9-]{0,62} */
int machine_name_free(const char *name, struct error **err);  /* and no machine has it: -EEXIST */
char *machine_name_from_image(const char *reference); /* "docker.io/library/alpine:3.22" -> "alpine-3-22"; owned */
int machine_from_json(struct json_object *o, struct machine **ret, struct error **err);
struct json_object *machine_to_json(const struct machine *m);

/* Members of machine.json by what they open on the host. Every member has a line in
 * machine_members. */
enum machine_member_kind {
	MACHINE_MEMBER_HERE = 1, /* of this host, this machine or the image; the file's is ignored */
	MACHINE_MEMBER_INSIDE,   /* opens nothing; the file's counts */
	MACHINE_MEMBER_HOME,     /* the stricter of both counts */
	MACHINE_MEMBER_AMOUNT,   /* the smaller of both counts */
	MACHINE_MEMBER_OPENING,  /* opens the host; the file's counts only if the caller trusts it */
};
struct machine_member {
	const char *json, *key; /* the member; the key of `set`, or the word for a list */
	enum machine_member_kind kind;
	uint64_t (*amount)(const struct machine *m); /* of MACHINE_MEMBER_AMOUNT: with its default */
};
extern const struct machine_member machine_members[]; /* ends with a NULL json */

/* Makes a machine of `here`, a new machine by this host's configuration without mounts and
 * ports, and of a file's settings as far as their kinds let them. Checks all settings, but not
 * whether mounts and kernel exist. 0 or -errno; left_out gets a text for each member that it
 * left out. */
int machine_adopt(const struct machine *here, struct json_object *settings, int trust, struct machine **ret,
    struct strv *left_out, struct error **err);

/* -ENOENT: `no machine "x"; see holm machine ls` */
int machine_load(const char *name, struct machine **ret, struct error **err);
int machine_save(const struct machine *m, struct error **err); /* atomic; caller holds the configuration lock */
int machine_list(struct strv *names, struct error **err);      /* sorted; broken ones are left in: load tells */
/* Makes the machine's directory with machine.json and whatever `fill` adds, under its name at once
 * (rename of a temporary directory). -EEXIST when the name is taken. */
int machine_create(const struct machine *m,
    int (*fill)(const struct machine *m, const char *directory, void *data, struct error **err), void *data,
    struct error **err);
/* Deletes in a machine's directory what the caller could not (files of other owners):
 * isolation_erase(). */
typedef int machine_erase(const char *directory, struct error **err);
/* Caller holds both locks. erase (may be NULL) is asked when the machine is gone from its name and
 * before its directory is deleted. */
int machine_delete(const char *name, machine_erase *erase, struct error **err);
/* Deletes what creations and deletions that crashed have left. Whoever creates, clones or deletes
 * calls it first; failures wait for the next. */
void machine_sweep(machine_erase *erase);
/* caller holds both locks; the default follows */
int machine_rename(const char *from, const char *to, struct error **err);

char *machine_list_dir(void);                           /* $DATA/machines; owned */
char *machine_dir(const char *name);                    /* owned */
char *machine_file(const char *name, const char *file); /* owned */
/* Makes the folder for the socket of a keeper that starts now: RUNTIME/HASH. Returns the socket's
 * path, owned, or NULL. */
char *machine_socket_path(const char *name, struct error **err);
/* The socket that the running keeper announced, owned; NULL if there is none. */
char *machine_socket_find(const char *name);
/* Takes the keeper's lock and removes what a killed keeper left. fd or -EWOULDBLOCK. */
int machine_lock(const char *name, uint64_t deadline_ms, struct error **err);
/* Writes down where the lock's holder has its socket. 0 or -errno. */
int machine_lock_announce(int lock, const char *socket, struct error **err);
/* The same for a process that has had it before: -ESTALE (no text) when another has had it since.
 * */
int machine_lock_again(const char *name, uint64_t deadline_ms, struct error **err);
int machine_config_lock(const char *name, uint64_t deadline_ms, struct error **err); /* fd */
pid_t machine_lock_owner(const char *name); /* the process that took the keeper's lock; 0 when nobody holds it */
int machine_is_running(const char *name);   /* 1, 0, -errno: somebody holds the keeper's lock */
/* Stops of this machine so far. A start that finds another number than when it began must not go
 * on: the later command counts. */
int64_t machine_stops(const char *name);
int machine_stops_add(const char *name, struct error **err); /* 0 or -errno */

int machine_default_get(char **ret, struct error **err);       /* -ENOENT with a text that says how to set one */
int machine_default_set(const char *name, struct error **err); /* NULL clears */

/* The keys of `set` with one line of help each; ends with a NULL key. "env.NAME" stands for all of
 * its kind. */
struct machine_key {
	const char *key, *help;
	const char *const *words; /* values to choose from, NULL-terminated; or NULL */
};
extern const struct machine_key machine_keys[];

/* `set KEY=VALUE`: checks and changes m in memory; an empty value goes back to the default. All of
 * it takes effect at the next start. A key may have _ for -. */
int machine_set(struct machine *m, const char *name, const char *value, struct error **err);
/* home-private: the places that hold, relative to the home, are added to ret. */
void machine_home_private(const struct machine *m, struct strv *ret);
/* Replaces the places by those of a list with commas; "none": no place; "": the default. 0 or
 * -errno, with m as it was. */
int machine_home_private_set(struct machine *m, const char *value, struct error **err);
/* Adds a place: below the home, as ~/PATH or absolute. 0 or -errno. */
int machine_home_private_add(struct machine *m, const char *text, struct error **err);
int machine_mount_parse(const char *text, struct machine_mount *ret, struct error **err); /* HOST[:INSIDE[:ro]] */
/* [IP:]HOST:INSIDE[/udp] */
int machine_publish_parse(const char *text, struct machine_publish *ret, struct error **err);
/* Checks a mount as machine_mount_parse() does: normalized places, the one inside not
 * reserved. 0 or -EINVAL. */
int machine_mount_check(const struct machine_mount *mount, struct error **err);
char *machine_mount_format(const struct machine_mount *mount);       /* the way back; owned */
char *machine_publish_format(const struct machine_publish *publish); /* the way back; owned */
/* {"ip":null|"...","host":N,"inside":N,"protocol":"tcp"|"udp"}; owned */
struct json_object *machine_publish_to_json(const struct machine_publish *publish);
/* Reads such an object, or the text that machine.json had before. 0 or -EINVAL. */
int machine_publish_from_json(struct json_object *o, struct machine_publish *ret, struct error **err);
/* Adds to m what was parsed (contents taken). -EEXIST: something is at that place or port
 * already. */
int machine_mount_add(struct machine *m, struct machine_mount *mount, struct error **err);
int machine_mount_remove(struct machine *m, const char *inside, struct error **err); /* -ENOENT */
int machine_publish_add(struct machine *m, struct machine_publish *publish, struct error **err);
/* Replaces all ports by those of a list with commas; an empty one means none. On an error m
 * keeps what it had. */
int machine_publish_set(struct machine *m, const char *value, struct error **err);
int machine_publish_same(const struct machine_publish *a, const struct machine_publish *b);
/* Finds the same port in the list of m: borrowed, or NULL. */
const struct machine_publish *machine_publish_find(const struct machine *m, const struct machine_publish *publish);
/* Finds the port that [IP:]HOST[:INSIDE][/udp] means: a copy (owned) in *ret. -ENOENT: none;
 * -EINVAL: several, which the error names. */
int machine_publish_choose(const struct machine *m, const char *text, struct machine_publish *ret, struct error **err);
/* Opens the sockets of a port on the host: listening (TCP) or bound (UDP), non-blocking; on both
 * loopback addresses, as far as the host has them, if the port names no address. 0 and the
 * descriptors (owned; -1: none); -EADDRINUSE, -EACCES or another -errno with a text that names
 * the port, the machine that has it, and a remedy. own: the machine whose port it is, or NULL
 * for one that is not made yet. */
int machine_publish_open(const char *own, const struct machine_publish *p, int ret_fds[static MACHINE_PUBLISH_SOCKETS],
    struct error **err);
/* Opens one socket of p on an address, as machine_publish_open() does: 0 and the descriptor, or
 * -errno. */
int machine_publish_bind(const char *ip, const struct machine_publish *p, int *ret_fd);
uint32_t machine_publish_first_port(void); /* the lowest that needs no privileges */
/* The same for a port whose number on the host is one of a range, or any that is free (an empty
 * range): the first that can be had on each address, which p->host gets. addresses: for a port
 * without one; the second may be NULL. */
int machine_publish_open_range(struct machine_publish *p, struct port_range range,
    const char *const addresses[static MACHINE_PUBLISH_SOCKETS], int ret_fds[static MACHINE_PUBLISH_SOCKETS],
    struct error **err);
/* Reads publish-address of the configuration: one address, or two with a comma; NULL: the loopback
 * ones. *parts holds what the addresses borrow. 0, or -EINVAL and a text. */
int machine_publish_addresses(const char *value, struct strv *parts, const char *ret[static MACHINE_PUBLISH_SOCKETS],
    struct error **err);
/* Removes the entry of the same host port, if there is one. */
void machine_publish_remove(struct machine *m, const struct machine_publish *publish);
void machine_mount_done(struct machine_mount *mount);
void machine_publish_done(struct machine_publish *publish);
void machine_publish_clear(struct machine *m);
/* An address for a machine, made of any text. Owned. */
char *machine_address_from(const char *text);
int machine_address_is_valid(const char *text); /* NULL is not */
/* Chooses another address for m if a machine of another name has it. */
void machine_address_settle(struct machine *m);
int machine_user_check(const char *user, struct error **err);   /* a name that can stand in /etc/passwd */
int machine_proxy_check(const char *value, struct error **err); /* host, none or a URL: 0 or -EINVAL */
/* Whether this is one of the variables in which programs look for proxies, with or without a
 * value. */
int machine_proxy_is_variable(const char *text);
/* Adds the variables of a proxy that is a URL. */
void machine_proxy_variables(const struct machine *m, struct strv *env);
/* The URL with *** for the user's name and password, owned. Other values come back as they are. */
char *machine_proxy_masked(const char *url);
char *machine_proxy_place(const char *url); /* "host:port", without the user's name and password; owned */
/* Whether it names the loopback of whoever reads it: inside, that is the machine's own. */
int machine_proxy_is_loopback(const char *url);
uint64_t machine_cpus(const struct machine *m); /* defaults resolved */
uint64_t machine_memory(const struct machine *m);
uint64_t machine_disk_size(const struct machine *m);
uint64_t machine_pids(const struct machine *m);
