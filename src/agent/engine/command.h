/* SPDX-License-Identifier: Apache-2.0
 * The start of a command in a running container. */
#pragma once

#include "agent/engine/engine.h"

enum { COMMAND_GROUPS_MAX = 256 };

/* The user in the container, as its account files had it. */
struct identity {
	uint32_t uid, gid, groups[COMMAND_GROUPS_MAX];
	size_t group_count;
	char *home; /* owned */
};

struct command {
	const struct container *container; /* it runs */
	const struct strv *words;
	struct strv env;       /* owned */
	const char *directory; /* in the container */
	struct identity who;   /* owned */
	uint64_t capabilities; /* of root; for others the limit of what they can get */
	int terminal;
	unsigned rows, columns;
	int standard[3]; /* borrowed; -1: /dev/null. Not with a terminal */
};
#define COMMAND_NONE ((struct command){ .standard = { -1, -1, -1 } })
void command_done(struct command *c);
#define AUTO_COMMAND CLEANUP(command_done)

/* Forks the command: a child of this process, whose pid is in *ret. Messages on *ret_channel (the
 * caller's): {} with the terminal's master, then {"error":TEXT,"status":126 or 127} unless the
 * program runs. The channel ends when it does, or will not. 0, or -errno and a text. */
int command_start(const struct command *c, pid_t *ret, int *ret_channel, struct error **err);
