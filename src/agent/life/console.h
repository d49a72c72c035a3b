/* SPDX-License-Identifier: Apache-2.0
 * The console: forwards the init's console output to the keeper. */
#pragma once

#include "agent/core/agent.h"

/* master: taken. */
void console_start(struct agent *a, int master, struct console **ret);
void console_free(struct console *c); /* reads what is left first; NULL is fine */
