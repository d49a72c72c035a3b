/* SPDX-License-Identifier: Apache-2.0
 * The table of functions behind which a machine runs: a virtual machine (vm/) or namespaces (native/). Nothing above this
 * header asks which one it is. The first group works on a stopped machine and is used by the CLI and by holm-image; the second is used by the keeper.
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
	const char *tag;    /* "home", "share1": unique among the machine's shares, [a-z0-9-]{1,31} */
	const char *host;   /* absolute directory on the host */
	int read_only;
	const char *const *hidden; /* absolute host paths below it that must not be visible; NULL-terminated or NULL */
	uint32_t inside_uid, inside_gid; /* what the host user's files belong to inside */
};

struct isolation_events {
	void (*stage)(const char *text, void *data);                        /* for people: "starting the virtual machine" */
	void (*warning)(const char *text, void *data);                      /* one line, shown on stderr by whoever waits for the start */
	void (*connected)(struct transport *to_agent, void *data);          /* streams can be opened; borrowed until `lost` */
	void (*accepted)(int fd, void *data);                               /* the agent opened a stream to us; takes fd */
	void (*lost)(const char *why, void *data);                          /* the transport ended (agent died, port closed) */
	/* Last: everything of this run is gone. code 0: the machine powered itself off; -errno and why otherwise. */
	void (*ended)(int code, const char *why, void *data);
};

struct isolation_ops {
	const char *name; /* "vm" */

	/* ---- a stopped machine ---- */
	/* Makes what the machine needs on disk inside m's (new) directory over the prepared image disk m->image_disk names. O(1). */
	int (*create)(const struct machine *m, struct error **err);
	/* Drops what create made, beyond the machine's own directory (shared bases that nobody names any more). */
	int (*remove)(const struct machine *m, struct error **err);
	int (*clone)(const struct machine *from, const struct machine *to, struct error **err); /* copy-on-write, both stopped and locked */
	int (*disk_usage)(const struct machine *m, uint64_t *ret_bytes); /* allocated on the host by this machine alone */

	/* ---- the keeper's side, on its loop ---- */
	/* Starts; progress comes by events. Never blocks. Everything it starts dies with this process. */
	int (*start)(struct loop *l, const struct machine *m, const char *runtime_dir, const struct isolation_share *shares, size_t share_count,
		     const struct isolation_events *events, void *data, struct isolation_run **ret, struct error **err);
	/* Adds to the agent's boot request what only the isolation knows: "root", "modules", "network", "shares" (see ARCHITECTURE.md). */
	void (*describe)(struct isolation_run *r, struct json_object *boot);
	/* Live shares; done is called once. -EOPNOTSUPP where it takes effect at the next start only. */
	int (*add_share)(struct isolation_run *r, const struct isolation_share *s, void (*done)(int code, const char *why, void *data), void *data, struct error **err);
	int (*remove_share)(struct isolation_run *r, const char *tag, void (*done)(int code, const char *why, void *data), void *data, struct error **err);
	void (*kill)(struct isolation_run *r);      /* at once; `ended` follows */
	void (*statistics)(struct isolation_run *r, struct json_object *into); /* pids and parts, for inspect and the benchmark */
	void (*free)(struct isolation_run *r);      /* after `ended` */
};

extern const struct isolation_ops isolation_vm;

/* The table for a machine: its setting, "auto" resolved by the probes. *ret_warning (owned, may stay NULL): one line to show, e.g. emulation. */
int isolation_choose(enum machine_isolation setting, const struct isolation_ops **ret, char **ret_warning, struct error **err);
/* `holm system info`: adds an array "probes" of {"name","ok","detail","fix"}. */
void isolation_probe_all(struct json_object *into);
