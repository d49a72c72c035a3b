/* SPDX-License-Identifier: Apache-2.0
 * Confinement: the process gives up all rights that serving one directory does not need. The guest
 * is the attacker, and a fault in this program must not let it out of the directory. There are four
 * steps, in this order. A step that the host does not allow is left out; the others still hold. */
#pragma once

#include "base/error.h"

/* The confinement in force, for the log and for later steps. */
struct confinement {
	int namespaced; /* the process has a root of its own: the directory */
	int landlock;   /* its ABI version; 0: not in force */
	int proc;       /* /proc for confine_own_descriptors(); -1: not needed */
};

/* Step 1: enters a mount namespace whose root is the directory: nosuid, nodev, and read-only if
 * wanted. An ordinary user needs a user namespace for it, in which other users' files show as
 * nobody's. So this step is left out unless the directory belongs to the user. *root becomes a
 * descriptor of the new root, and the working directory becomes /proc/self/fd. 0 or -errno. */
int confine_to_directory(int *root, int read_only, struct confinement *c, struct error **err);
#define CONFINE_FILE "file"
/* Step 1 for the file `name` of a directory: the new root is an immutable directory that contains
 * only the file, as CONFINE_FILE. *root, an O_PATH descriptor of the file, becomes one of that
 * directory. The file stays the same if the host gives its name to another. -errno without
 * namespaces. */
int confine_to_file(int directory, const char *name, int read_only, int *root, struct confinement *c,
    struct error **err);
/* Step 2: sets no_new_privs, drops all capabilities except those that confine.c names, and puts
 * Landlock on the directory. 0 or -errno. */
int confine_privileges(int root, int read_only, struct confinement *c, struct error **err);
/* Step 3, the caller's: start threads. Step 4, confine_calls(): allows the role's system calls, and
 * no others, in all threads. The holder's include its workers', which drop the calls that only the
 * holder needs. 0 or -errno. */
enum confine_role { CONFINE_BROKER = 1, CONFINE_HOLDER = 2, CONFINE_WORKER = 4, CONFINE_OWNERS = 8 };
int confine_calls(enum confine_role role, struct error **err);
/* confine_calls(CONFINE_OWNERS), and the one call that changes a file's group by descriptor. */
int confine_calls_changing_groups(struct error **err);
/* Makes the calling process's own /proc/self/fd its working directory. Call it in a child of the
 * confined process: a process with capabilities in reserve may follow only its own links there. 0
 * or -errno. */
int confine_own_descriptors(const struct confinement *c);
/* on 1: for this thread, the modes of files of the user and the user's group forbid nothing, until
 * a call with 0. The user could change those modes anyway. Works only in the user namespace of
 * confine_to_directory() (c->namespaced, and not root, who needs none); -EPERM elsewhere. */
int confine_ignore_modes(int on);
/* Steps 1 and 2 for a process that opens no files: no_new_privs, no capabilities, and a Landlock
 * ruleset without a rule. 0 or -errno. */
int confine_nothing_to_see(struct error **err);
