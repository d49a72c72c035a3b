/* SPDX-License-Identifier: Apache-2.0
 * The table of functions behind which a machine runs: a virtual machine (vm/) or namespaces
 * (native/). Nothing above this header asks which one it is. There are two tables: one for a
 * stopped machine's disk (CLI), one for running it (keeper).
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "http/transport.h"
#include "machine/machine.h"

struct isolation_run; /* a machine that is being run, private to the implementation */

struct isolation_share {
	const char *tag;  /* "home", "share1": unique among the machine's shares, [a-z0-9-]{1,31} */
	const char *host; /* absolute directory, file or socket on the host */
	int is_file;      /* `host` is a regular file */
	int read_only;
	const char *const *hidden; /* absolute host paths below it that must not be visible; NULL-terminated or NULL */
	/* The path_identity() of each. Another machine can rename the folders above between
	 * this look and the next: a process that hides the path must find the same file there. */
	const char *const *hidden_ids;
	uint32_t inside_uid, inside_gid; /* owner inside of the host user's files */
	/* SOCK_SEQPACKET (base/share_events.h), borrowed for the call: the share's server
	 * reports the host's changes there. -1: no reports. */
	int events;
	const int *choices; /* MACHINE_SHARE_KEYS of them: the machine's share_choices */
};

/* In the machine's network. */
enum isolation_socket { ISOLATION_TCP4, ISOLATION_TCP6, ISOLATION_UDP4, ISOLATION_UDP6, ISOLATION_SOCKETS };

struct isolation_events {
	void (*stage)(const char *text, void *data);   /* for people: "starting the virtual machine" */
	void (*warning)(const char *text, void *data); /* one line, shown on stderr by whoever waits for the start */
	void (*connected)(struct transport *to_agent, void *data); /* streams can be opened; borrowed until `lost` */
	void (*accepted)(int fd, void *data);                      /* the agent opened a stream to us; takes fd */
	void (*lost)(const char *why, void *data);                 /* the transport ended (agent died, port closed) */
	void (*sockets)(void *data); /* open_socket() that answered -EAGAIN can be called again */
	/* The machine stands still because of the host; it goes on by itself, and then why is
	 * NULL. */
	void (*paused)(const char *why, void *data);
	/* Last: everything of this run is gone. code 0: the machine powered itself off; -errno and
	 * why otherwise. */
	void (*ended)(int code, const char *why, void *data);
};

/* A stopped machine: used by the CLI (links nothing but libc and json-c). */
struct isolation_disk_ops {
	const char *name; /* "vm" */
	/* Makes what the machine needs on disk inside `directory` (m's new one) over the prepared
	 * image that m->image_disk or m->image_trees names. O(1). */
	int (*create)(const struct machine *m, const char *directory, struct error **err);
	/* Drops what create made beyond the machine's own directory (shared bases that nobody names
	 * any more); m's directory is gone already. */
	int (*remove)(const struct machine *m, struct error **err);
	/* Copy-on-write; `from` is stopped and locked, `directory` is the new machine's. */
	int (*clone)(const struct machine *from, const struct machine *to, const char *directory, struct error **err);
	/* Bytes allocated on the host by this machine alone, and when that was measured
	 * (clock_realtime_ns(); 0: now). Quick: `ls` asks for all. 0 or -errno. */
	int (*disk_usage)(const struct machine *m, uint64_t *ret_bytes, int64_t *ret_when_ns);
	/* Deletes what it keeps in a machine's directory, whoever its files belong to; nothing
	 * there is fine. */
	int (*erase)(const char *directory, struct error **err);
	uint64_t least_memory;      /* less does not boot; 0: any does */
	int is_sized;               /* machine_disk_size() bounds it */
	const char *image_form;     /* the image's form, for `holm-image prepare --form`: "disk" or "trees" */
	const char *container_form; /* the same for the image of a container */
	const char *own_ids_form;   /* the same, for one with the machine's ids; NULL: it is the same */
};

/* A running machine: used by the keeper. */
struct isolation_ops {
	const char *name; /* "vm" */
	/* inotify inside does not see what the host changes in a share unless the share's server
	 * says so */
	int tells_changes;
	/* A socket of the host is no share of the isolation: the agent listens inside and relays
	 * each connection. */
	int relays_sockets;
	/* The form of a container's image, for `holm-image prepare --form`; NULL: the machine has
	 * no containers. own_ids_form: of a container with the machine's ids; NULL: the same. */
	const char *container_form, *own_ids_form;

	/* Starts; progress comes by events. Never blocks. Everything it starts dies with this
	 * process. */
	int (*start)(struct loop *l, const struct machine *m, const char *runtime_dir,
	    const struct isolation_share *shares, size_t share_count, const struct isolation_events *events, void *data,
	    struct isolation_run **ret, struct error **err);
	/* Adds to the agent's boot request what only the isolation knows: "root", "modules",
	 * "network", "shares" (docs/agent-api.md). */
	void (*describe)(struct isolation_run *run, struct json_object *boot);
	/* Rewrites nameservers ({"nameservers":[…]}, the host's) that cannot be reached as they are
	 * from inside. describe does it for "resolv". */
	void (*resolv)(struct isolation_run *run, struct json_object *resolv);
	/* Live shares; done is called once. -EOPNOTSUPP where it takes effect at the next start
	 * only. */
	int (*add_share)(struct isolation_run *run, const struct isolation_share *s,
	    void (*done)(int code, const char *why, void *data), void *data, struct error **err);
	int (*remove_share)(struct isolation_run *run, const char *tag,
	    void (*done)(int code, const char *why, void *data), void *data, struct error **err);
	/* Gives the machine the disk of an image to read, once; done is called once, perhaps at
	 * once, with the disk's name inside (borrowed) or an error. NULL: the agent finds the image
	 * on the host by itself. */
	int (*lend_disk)(struct isolation_run *run, const char *path,
	    void (*done)(int code, const char *name_or_why, void *data), void *data, struct error **err);
	/* Takes it away again; the machine has unmounted it. A disk that was not lent: nothing. */
	void (*return_disk)(struct isolation_run *run, const char *path);
	/* Names the resource that the host lacks for the init to start, owned; NULL: none. */
	char *(*shortage)(const struct isolation_run *run);
	/* A socket in the machine's network, to be connected by this process: non-blocking, and
	 * nothing inside has a descriptor of it. -EAGAIN: the event `sockets` says when to ask
	 * again. NULL or another -errno: POST /v1/dial has to do. */
	int (*open_socket)(struct isolation_run *run, enum isolation_socket kind);
	/* Live limits: cpus (0: as the configuration says), bytes of memory (0: as it is). NULL or
	 * -EOPNOTSUPP: at the next start. */
	int (*set_limits)(struct isolation_run *run, uint64_t cpus, uint64_t memory, struct error **err);
	void (*kill)(struct isolation_run *run); /* at once; `ended` follows */
	/* Begins to measure what disk_usage tells, unless that was done a short while ago. NULL:
	 * disk_usage needs no help. */
	void (*measure)(struct isolation_run *run);
	/* pids and parts, for inspect and the benchmark */
	void (*statistics)(struct isolation_run *run, struct json_object *into);
	void (*free)(struct isolation_run *run); /* after `ended` */
};

extern const struct isolation_ops isolation_vm, isolation_native;                /* isolation_lib */
extern const struct isolation_disk_ops isolation_vm_disk, isolation_native_disk; /* isolation_disk_lib */

/* Resolves a machine's setting for this host; never to AUTO. "auto" is the form that its disk has,
 * or, for a machine that is not made yet (and m NULL), what the probes say: vm where hardware
 * virtualization really works, else native where that works, else vm under emulation. An isolation
 * that cannot work here is an error that says what is missing and what to do. *ret_warning (owned,
 * may stay NULL): one line to show, e.g. that the machine runs under emulation. Costs a few small
 * files to read once the host was probed since its boot. (isolation_disk_lib) */
int isolation_resolve(const struct machine *m, enum machine_isolation *ret, char **ret_warning, struct error **err);
/* Whether this host has one of the two; texts as above. */
int isolation_check(enum machine_isolation which, char **ret_warning, struct error **err);
/* The tables of a resolved isolation, or of a machine's form. NULL and an error where this build
 * has none. */
const struct isolation_ops *isolation_table(enum machine_isolation resolved, struct error **err); /* isolation_lib */
/* isolation_disk_lib */
const struct isolation_disk_ops *isolation_disk_table(enum machine_isolation resolved, struct error **err);
/* Before a machine's directory is deleted: deletes in it what the caller could not (files of other
 * owners), whatever its form. */
int isolation_erase(const char *directory, struct error **err); /* isolation_disk_lib */
/* `holm system info`: adds an array "probes" of
 * {"name","for":"vm"|"native"|"both","ok","detail","fix"}. */
void isolation_probe_all(struct json_object *into); /* isolation_disk_lib */
