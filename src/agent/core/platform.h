/* SPDX-License-Identifier: Apache-2.0
 * The platform: the differences between the inside of a VM and the inside of namespaces on the
 * host's kernel, as a table of functions. The agent chooses it once, when it starts. No other part
 * of the agent asks which of the two it runs in.
 *
 * Functions marked (worker) run in a forked worker and may block. */
#pragma once

#include <sys/types.h>

#include "agent/core/agent.h"
#include "agent/core/boot_request.h"
#include "base/error.h"
#include "http/transport.h"
#include "idmap/idmap.h"
#include "oci/runtime_spec.h"

/* Handlers of the keeper's streams, and of the end of the connection to it. */
struct platform_streams {
	transport_accept_fn accept; /* the keeper opened a stream; takes fd */
	transport_closed_fn closed;
	void *data;
};

/* The container of the init, as far as it depends on the platform. Everything in it is borrowed and
 * lives as long as the agent. */
struct platform_container {
	const struct runtime_mount *mounts; /* the kernel's file systems and devices, in order */
	size_t mount_count;
	unsigned namespaces;                            /* runtime_namespace bits */
	const char *user_namespace, *network_namespace; /* paths of those that are made already, or NULL */
	const char *cgroups_path;                       /* NULL: no cgroup of its own */
	const char *const *capabilities, *const *masked_paths, *const *readonly_paths;
	const char *seccomp_filter;
	const char *hook_program; /* this program, for attach_main() */
	/* The hook attaches the machine's /run and the shares in the container's namespaces, where
	 * the kernel has locked what it finds. 0: the runtime mounts them. */
	int hook_attaches;
	int has_boot_id;                 /* the kernel's boot id is the first init's own */
	const char *crun;                /* the program */
	const char *const *crun_options; /* in front of its command, NULL-terminated */
};

struct platform {
	int is_respawned;        /* an agent that ends is started again and adopts the running machine */
	int joined;              /* CLONE_NEW* bits: the init's namespaces, which sessions join */
	const char *own_program; /* a path by which this program can be bind-mounted */

	void (*open_log)(void);
	/* Sets a->from_keeper and a->to_keeper, which may be one. */
	int (*open_streams)(struct agent *a, const struct platform_streams *s, struct error **err);
	int (*set_clock)(uint64_t realtime_ns, struct error **err);

	/* (worker) at AGENT_ROOT; mounted already: fine */
	int (*mount_root)(const struct boot_request *b, struct error **err);
	/* (worker) at AGENT_MODULES, where the request has them */
	int (*mount_modules)(const struct boot_request *b, struct error **err);
	int (*network)(const struct boot_network *n, struct error **err); /* (worker) */
	/* (worker) Mounts the share at `path`, an empty directory below AGENT_SHARES. */
	int (*mount_share)(const struct boot_share *s, const char *path, struct error **err);
	/* (worker) Mounts the directory of the machine's own folders (core/own_folders.h) on this
	 * empty one of the machine's tree. 0 or -errno. NULL: they are on the machine's disk. */
	int (*mount_own_folders)(const struct boot_request *b, int directory, struct error **err);
	/* (worker) A detached copy of that mount, which can be attached inside the machine (pidfd
	 * of its init) and cannot be made writable there. The worker may have given up its rights
	 * over everything outside of the machine by then, as after enter(). */
	int (*take_share)(int machine, const char *path, struct error **err);
	/* (worker) Covers each hidden folder of the shares that is bare. 0 or -errno. NULL:
	 * the share server hides them. */
	int (*check_shares)(const struct boot_request *b, struct error **err);
	/* (worker) Enters the mount namespace of the machine (pidfd of its init) for good, with the
	 * rights of root inside and no more: the machine decides where a path leads there. 0 or
	 * -errno. */
	int (*enter)(int machine);
	/* (worker, in a child that will run something of the image outside of the init's container)
	 * Leaves the agent's mount namespace, and whatever else gives power over it, behind. 0 or
	 * -errno. It may return in another process, which the one that called waits for. */
	int (*leave)(void);
	/* (there) Mounts /proc and /sys of that place below root. NULL: the agent's own will do. */
	int (*mount_kernel)(int root);
	/* (there, last) Returns in the process that may execute the program. NULL: this one. */
	int (*run_below)(void);

	/* (there) Becomes process 1 of a pid namespace; the one that called waits for it, also
	 * over the end of an agent that is started again. 0 or -errno. NULL: leave() did it. */
	int (*contain)(void);

	/* Containers of the machine's engine; NULL: this platform has none.
	 * (worker) The folder that holds their files, detached. */
	int (*open_containers)(const struct boot_request *b, struct error **err);
	/* (worker) Moves what an imported tree has of them there; in a rescue boot mounts them in
	 * the tree, which is to be exported. NULL: they are in the tree. */
	int (*mount_containers)(const struct boot_request *b, int root, struct error **err);
	/* (worker) Detached mounts of these parts of an image, named as the keeper names them:
	 * directories of the host, or a disk. The machine (pidfd of its init) cannot make them
	 * writable, and files belong to who has them in a container of this user's; NULL: to the
	 * machine's ids. As many descriptors as names. The worker may have given up its rights by
	 * then, as in enter(). */
	int (*take_layers)(int machine, const struct boot_user *u, const struct strv *names, int *ret_fds,
	    struct error **err);
	/* (worker) A detached mount of a part of the share at `share`: of what a relative path
	 * ("": the whole) leads to without symlinks, with the rights of the machine's root (pidfd
	 * of its init), who cannot loosen it. A descriptor or -errno. */
	int (*take_bind)(int machine, const char *share, const char *relative, struct error **err);
	/* The mapping of containers, in the machine's ids. own_ids: of those with --userns, whose
	 * ids are the machine's, except one that has power by its number alone. */
	void (*container_ids)(const struct boot_user *u, struct idmap *ret);
	void (*own_ids)(struct idmap *ret);

	int (*container)(enum init_kind kind, struct platform_container *ret, struct error **err); /* (worker) */
	void (*init_starting)(struct agent *a); /* before every launch */
	void (*init_started)(struct agent *a);  /* a->init_pidfd is set */
	void (*init_ended)(struct agent *a);
	void (*is_ready)(struct agent *a); /* sessions may start */
	/* A descriptor (owned) that becomes readable, for epoll, when a TCP socket is about to
	 * listen or has ceased to; -1: this kernel has none. NULL: this platform has none. */
	int (*open_listen_events)(void);
	/* (worker) Everything that is left of the machine is killed, written out and unmounted. */
	int (*put_away)(int channel, void *agent, struct error **err);
	void (*put_away_message)(struct json_object *o, struct agent *a); /* a message of put_away() on its channel */
	void (*end)(struct agent *a); /* after the last answers were given: the end of the machine; does not wait */
};

extern const struct platform platform_vm, platform_native;
