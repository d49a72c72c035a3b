/* SPDX-License-Identifier: Apache-2.0
 * `holm machine wait [NAME...]`: until the machines have stopped. A keeper lives as long as its
 * machine, so the command waits for the keeper's process. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"

enum { LOOK_MS = 1000 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "fail after this time", .default_text = "no limit" },
	{ "all", 'a', OPTION_FLAG, NULL, "every machine" },
	{ 0 },
};

const struct command_spec command_wait = {
	.name = "wait",
	.synopsis = "[NAME...]",
	.summary = "wait until machines have stopped",
	.options = options,
	.max_arguments = -1,
	.target = TARGET_MACHINES_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

/* Waits until the holder of the machine's lock has ended: a keeper, or a command that changes a
 * stopped machine. 0, or -ETIMEDOUT. */
static int wait_for(const char *name, uint64_t deadline)
{
	while (machine_is_running(name) == 1) {
		pid_t owner = machine_lock_owner(name);
		AUTO_FD int fd = owner > 0 ? (int)syscall(SYS_pidfd_open, owner, 0) : -1;
		/* The holder may not have written its number yet: look again soon. */
		int certain = fd >= 0 && machine_lock_owner(name) == owner;
		fd_wait(certain ? fd : -1, POLLIN, certain ? deadline : MIN(deadline, clock_deadline(LOOK_MS)));
		if (clock_left_ms(deadline) == 0 && machine_is_running(name) == 1)
			return -ETIMEDOUT;
	}
	return 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	const struct strv *names = options_targets(o);
	const char *time = options_string(o, "time");
	uint64_t seconds = 0, deadline = UINT64_MAX;
	if (time && (parse_u64(time, &seconds) < 0 || seconds > INT32_MAX / 1000)) {
		output_error("--time %.40s: give seconds", time);
		return EXIT_HOLM;
	}
	if (time)
		deadline = clock_deadline(seconds * 1000);
	for (size_t i = 0; i < names->count; i++) {
		if (wait_for(names->items[i], deadline) < 0) {
			output_error("machine \"%s\" still runs after %s s", names->items[i], time);
			return EXIT_HOLM;
		}
		output_line("%s", names->items[i]);
		fflush(stdout);
	}
	return 0;
}
