/* SPDX-License-Identifier: Apache-2.0
 * The common part of the ways to a session: `machine run`, `machine ssh` and ssh(1). */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/strv.h"
#include "machine/machine.h"

/* Boots the machine if it is stopped, and waits for its init if `wait` or the machine's settings
 * (m; NULL: they could not be read) say so. 0 or as client_start(). */
int session_boot(const char *machine, const struct machine *m, int wait, struct error **err);
/* Adds the variables that a session gets from this process and from the machine's settings. */
void session_caller_environment(const struct machine *m, struct strv *env);
mode_t session_umask(void); /* this process's */
