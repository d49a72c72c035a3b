/* SPDX-License-Identifier: Apache-2.0
 * The handlers of the machine's life, and what its files offer each other. */
#pragma once

#include "agent/core/agent.h"

/* boot.c */
void boot_handle(struct http_exchange *x, void *agent);
void boot_prepare(struct agent *a); /* the work of PHASE_BOOTING (phase.h) */

/* init.c: starts the machine's init and watches it. */
void init_start(struct agent *a);
void init_adopt(struct agent *a, pid_t pid, int pidfd, enum init_kind kind, int console); /* console: taken, -1 none */

/* stop.c */
void stop_handle(struct http_exchange *x, void *agent);
void stop_init_ended(struct agent *a, const char *how, int status); /* the init is gone: ends the machine */

/* state.c: the state file. */
void state_adopt(struct agent *a);
