/* SPDX-License-Identifier: Apache-2.0
 * Taking away from this process what serving one directory does not need. Four steps, in this
 * order; the guest is the attacker, and what it could do with a fault in this program should end at
 * the directory. A step that the host does not allow is left out: the ones below it still hold. */
#pragma once

#include "base/error.h"

/* What there is to know afterwards, for the log. */
struct confinement {
	int namespaced; /* the process sees nothing but the directory */
	int landlock;   /* the version in force, 0 none */
	int proc;       /* where confine_own_descriptors() finds them, -1: it is not needed */
};

/* 1. A mount namespace whose root is the directory (without setuid, devices, and writing when
 *    read_only). For an ordinary user it takes a
 * user namespace, in which other people's files appear as nobody's; so it is done only when the
 * directory itself belongs to the user. *root is replaced by the same directory in there; the
 * working directory becomes /proc/self/fd. */
int confine_to_directory(int *root, int read_only, struct confinement *c, struct error **err);
#define CONFINE_FILE "file"
/* The same for the file `name` of a directory: its root is a directory that has nothing but the
 * file, as CONFINE_FILE, and cannot be changed. *root, an O_PATH descriptor of the file, is
 * replaced by that directory. The file stays the one that it was when the host gives its name to
 * another. Without namespaces there is no such directory: -errno. */
int confine_to_file(int directory, const char *name, int read_only, int *root, struct confinement *c,
    struct error **err);
/* 2. No new privileges, no capabilities but those that confine.c names, Landlock on the
 * directory. */
int confine_privileges(int root, int read_only, struct confinement *c, struct error **err);
/* 3. Between the two: start threads. 4. The system calls that are needed, and no others, in all
 *    threads. The holder's include those of the
 * workers that it starts, who drop what they need no longer. */
enum confine_role { CONFINE_BROKER = 1, CONFINE_HOLDER = 2, CONFINE_WORKER = 4, CONFINE_OWNERS = 8 };
int confine_calls(enum confine_role role, struct error **err);
/* CONFINE_OWNERS, with the one call that changes a file's group, by descriptor. */
int confine_calls_changing_groups(struct error **err);
/* In another process than the one that was confined: the working directory becomes its own
 * /proc/self/fd, since with capabilities in reserve each may follow only its own. 0 or -errno. */
int confine_own_descriptors(const struct confinement *c);
/* For this thread, until it is called with 0: the modes of files that belong to the user and the
 * user's group forbid nothing, as the user could change them. Only where confine_to_directory()
 * made a user namespace (c->namespaced, and not root, who has that anyway): -EPERM elsewhere. */
int confine_ignore_modes(int on);
/* Steps 1 and 2 for a process that needs no files: no new privileges, no capabilities at all, a
 * Landlock in which nothing is allowed. */
int confine_nothing_to_see(struct error **err);
