/* SPDX-License-Identifier: Apache-2.0
 * The machine's /run: a tmpfs that the agent makes for every start of the init and mounts at
 * AGENT_MACHINE_RUN. Root inside can change everything in it. So the agent opens each name
 * beneath the mount's root, follows no symlink (openat2(2), RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS), and goes on by the descriptor. No path that begins with
 * AGENT_MACHINE_RUN is handed to the kernel, but that of the mount itself. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct platform;

/* Drop-ins: for systemd-resolved, and for systemd, which root alone may read (NULL: none). */
struct machine_run_texts {
	const char *resolved, *services;
};

/* (worker) Replaces the mount at AGENT_MACHINE_RUN by a new tmpfs and fills it: holm's own init
 * at holm/holm-init, lock/, the drop-ins. 0 or -errno. */
int machine_run_make(const struct platform *p, const struct machine_run_texts *t, struct error **err);
void machine_run_drop(void); /* unmounts it, with all that is mounted in it; nothing mounted: fine */

/* `path` is relative to the machine's /run, "." names /run itself. A descriptor (owned) or
 * -errno; -ELOOP: there is a symlink in the path. */
int machine_run_open(const char *path, int flags);
/* mkdir -p; the last directory (O_PATH, owned) or -errno */
int machine_run_mkdir(const char *path, mode_t mode, struct error **err);
int machine_run_exists(const char *path);
/* A datagram socket that is bound to a new name there, in place of what had it. Owned; -errno. */
int machine_run_bind(const char *directory, const char *name);
/* Adds an inotify watch of that directory: 0 or -errno. */
int machine_run_watch(int inotify, const char *directory, uint32_t mask);
