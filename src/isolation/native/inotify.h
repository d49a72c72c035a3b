/* SPDX-License-Identifier: Apache-2.0
 * inotify instances. The kernel bounds those of a user, together with those of all user namespaces
 * that the user has made, by fs.inotify.max_user_instances: 128 by default. systemd needs about
 * ten, its user manager among them, so the default is enough for eleven machines. */
#pragma once

/* The instances of a machine with systemd, the keeper's own included. */
enum { NATIVE_INOTIFY_MACHINE = 11, NATIVE_INOTIFY_MOST = 4096 };

/* Counts how many instances the user may still make, up to `most`. */
int native_inotify_room(int most);
/* Names the shortage and what ends it, owned. NULL if a machine with systemd still fits. */
char *native_inotify_shortage(void);
extern const char native_inotify_fix[]; /* the command that raises the bound */
