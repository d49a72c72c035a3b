/* SPDX-License-Identifier: Apache-2.0
 * Takes the changed inittab away once the init has read it, so that /etc/inittab inside is the
 * machine's own file again, to be edited. */
#pragma once

#include "agent/core/agent.h"

struct inittab_watch;
/* watch: taken; an inotify descriptor that reports the reading of the changed file. */
void inittab_watch_start(struct agent *a, int watch, struct inittab_watch **ret);
void inittab_watch_free(struct inittab_watch *w); /* NULL is fine */
