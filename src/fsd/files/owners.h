/* SPDX-License-Identifier: Apache-2.0
 * Whose the files are, for a server whose user namespace knows one user and one group: there,
 * everybody else's files are nobody's, and a file can be given to no group. A process outside of
 * that namespace shares the server's table of descriptors (clone(2) with CLONE_FILES) and answers
 * for a descriptor what fstat(2) says where all ids have a meaning. It has no path, no capability
 * and next to no system call; it is the host user, so what it can change is what the host user
 * can. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { OWNERS_TIMEOUT_MS = 1000, OWNERS_PAUSE_MS = 30000 /* after a question without an answer */ };

struct owner {
	uint32_t uid, gid;
};

/* Descriptors of the common table. */
struct owners {
	int asking, answering; /* the two ends of a socket */
	int process, parent;   /* pidfds */
	pid_t pid;
	uint32_t overflow_uid, overflow_gid; /* what the kernel says for an id without a name here */
	struct owners_shared *shared;
};

/* A path of no letters, the only one that the process can name. */
extern const char owners_no_path[1];

/* Starts the process, before a user namespace is entered, and waits until it has no descriptors of
 * its own in the common table. With may_change it can change groups. `confine` is called in it
 * (NULL: not at all). 0 or -errno. The process ends with its parent. */
int owners_start(struct owners *o, int may_change, int (*confine)(int may_change, struct error **err),
    struct error **err);
void owners_stop(struct owners *o);
/* Whose the file of a descriptor (of any kind) is: 0; -errno when nobody answers in time, which is
 * logged once. */
int owners_ask(struct owners *o, int fd, struct owner *ret);
/* Gives the file to a group, as the host user can: 0 or -errno. */
int owners_change_group(struct owners *o, int fd, uint32_t gid);
