/* SPDX-License-Identifier: Apache-2.0
 * The agent as first process of a machine's outer namespaces on the host's kernel (docs/native.md).
 * Private to the files of this folder; everybody else sees platform.h.
 *
 * Two mount namespaces: the host view is a copy of the host's and is entered, by workers only, to
 * take a mount of a share or to read the layers; the agent's own has a tmpfs root with what crun
 * needs. */
#pragma once

#include <linux/filter.h>
#include <sched.h>
#include <stddef.h>

#include "agent/core/platform.h"
#include "agent/platform/native/messages.h"
#include "base/error.h"

#define NATIVE_PROGRAM AGENT_RUN "/holm-agent" /* this program */
#define NATIVE_CRUN_ROOT AGENT_RUN "/crun"     /* crun's own state */
#define NATIVE_LAYERS AGENT_RUN "/layers"      /* short names of the overlay's directories */
#define NATIVE_CONTROL 3                       /* the keeper's socket */

enum { NATIVE_CPUS_MAX = 4096, NATIVE_MTU = 65520 };

struct native {
	struct native_go go;
	int host_view;         /* descriptor of that mount namespace */
	cpu_set_t *allowed;    /* the processors that we were started with */
	int has_fuse, has_tun; /* /dev/fuse, /dev/net/tun are there and can be opened */
	int writable_cgroup;   /* cgroup2 is mounted, and the machine may have groups of its own */
	struct native_share *shares;
	size_t share_count;
	int measuring; /* a worker sums up what the machine has written */
	pid_t holder;  /* keeps the machine's user and network namespaces; 0: none */
	int gate;      /* pidfd of the process that has the network namespace for pasta; -1: none */
};

/* There is one in a process. */
struct native *native_self(void);

int native_place_make(struct native *n, struct error **err);   /* place.c: both mount namespaces */
int native_enter_host_view(int *ret_back, struct error **err); /* ret_back: owned; the way back by native_return */
int native_return(int back);
int native_mount_root(const struct boot_request *b, struct error **err); /* root.c */
/* (worker) The bytes that DIR/upper and DIR/private take; enters the host view for good. 0, -ETIME
 * past the deadline, or -errno. */
int native_usage(const char *machine, uint64_t deadline_ms, uint64_t *ret_bytes);
/* own_folders.c: mounts native/private of the host on a directory of the machine's tree, and moves
 * there what an imported tree has in it. 0 or -errno. */
int native_mount_own_folders(const struct boot_request *b, int directory, struct error **err);
/* The options of overlayfs for `layers` lower directories with short names. Owned. */
char *native_overlay_options(size_t layers);

/* The same for all that an imported tree has in the directory `from`. Gone from there then. */
int native_take_imported(int from, int to, struct error **err);

int native_open_containers(const struct boot_request *b, struct error **err); /* storage.c */
int native_mount_containers(const struct boot_request *b, int root, struct error **err);
/* layers.c */
int native_take_layers(int machine, const struct boot_user *u, const struct strv *paths, int *ret_fds,
    struct error **err);
void native_container_ids(const struct boot_user *u, struct idmap *ret);
void native_own_ids(struct idmap *ret);

int native_share_put(struct native *n, struct native_share *s, struct error **err); /* shares.c: takes *s */
/* Mounts a detached mount (borrowed) that the keeper made as this share, where native_mount_share
 * would. */
int native_place_share(struct native *n, const char *tag, int tree, struct error **err);
void native_share_drop(struct native *n, const char *tag);
int native_mount_share(const struct boot_share *s, const char *path, struct error **err);
int native_take_share(int machine, const char *path, struct error **err);
int native_take_bind(int machine, const char *share, const char *relative, struct error **err);
int native_check_shares(const struct boot_request *b, struct error **err);

int native_leave(void); /* leave.c */
int native_enter(int machine);
int native_become_machine(int machine); /* its user namespace for good: the rights of root inside; again: fine */
int native_mount_kernel(int root);
int native_run_below(void);

int native_container(enum init_kind kind, struct platform_container *ret, struct error **err); /* container.c */

/* cgroup.c. cgroup2 wants processes in leaves only: ours goes aside, so that the machine's group
 * can have controllers. */
int native_cgroup_move_aside(void);

/* network.c: a child that holds new user and network namespaces for the next init, unless there is
 * one; and its end. */
int native_network_make(struct native *n, struct error **err);
void native_network_drop(struct native *n);
/* One byte from a child of ours, at most 10 s later: 0; -ETIMEDOUT; -ECHILD when it ended or says
 * another; -errno. */
int native_expect(int socket, char wanted);

/* gate.c: a child in a network namespace of the agent's, for pasta: moves the device from there to
 * the holder's. The pidfd, which is n's, or -errno; and its end. */
int native_gate_start(struct native *n, struct error **err);
void native_gate_stop(struct native *n);
/* gate_filter.c: what may go to pasta, as a program on Ethernet frames. */
struct sock_fprog native_gate_filter(void);

/* cpus.c: N processors (0: all) out of those allowed, for every task in this pid namespace. */
void native_set_cpus(struct native *n, uint64_t cpus);
