/* SPDX-License-Identifier: Apache-2.0
 * The owner lookup process. The server's user namespace maps one user and one group: all other ids
 * show as nobody, and no file can change its group. A process outside of that namespace shares the
 * server's table of descriptors (clone(2) with CLONE_FILES) and calls fstat(2) on them where all
 * ids are mapped. It runs as the host user, and has no path, no capability and almost no system
 * call. So it can change only files that the host user can change. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { OWNERS_TIMEOUT_MS = 1000, OWNERS_PAUSE_MS = 30000 /* after a request without a reply */ };

struct owner {
	uint32_t uid, gid;
};

/* The two processes share the table of these descriptors. */
struct owners {
	int asking, answering; /* the two ends of a socket */
	int process, parent;   /* pidfds */
	pid_t pid;
	uint32_t overflow_uid, overflow_gid; /* the kernel's ids for one that is not mapped */
	struct owners_shared *shared;
};

/* The empty path, the only one that the process can pass to the kernel. */
extern const char owners_no_path[1];

/* Starts the process, and waits until it has closed its own descriptors in the shared table. Call
 * it before entering a user namespace. With may_change the process can change groups. It calls
 * `confine` first (NULL: not at all), and ends with its parent. 0 or -errno. */
int owners_start(struct owners *o, int may_change, int (*confine)(int may_change, struct error **err),
    struct error **err);
/* Kills the process and waits for it. */
void owners_stop(struct owners *o);
/* Looks up the owner of a descriptor's file; the descriptor may be O_PATH. 0, or -errno when no
 * reply comes in OWNERS_TIMEOUT_MS, which is logged once. */
int owners_ask(struct owners *o, int fd, struct owner *ret);
/* Changes the group of a descriptor's file, with the host user's rights. 0 or -errno. */
int owners_change_group(struct owners *o, int fd, uint32_t gid);
