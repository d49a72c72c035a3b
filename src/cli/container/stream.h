/* SPDX-License-Identifier: Apache-2.0
 * The client's side of a container's streams: the hijacked connection of attach and exec, the
 * terminal, signals, and the answer of wait. */
#pragma once

#include "cli/container/api.h"
#include "cli/container/values.h"
#include "docker/keys.h"

struct stream_plan {
	const struct api *api;
	struct api_stream *connection; /* of attach or exec; NULL: no stream is attached */
	struct api_stream *waiter;     /* of wait; NULL: the end of the connection is the end */
	const char *resize;            /* the target that takes sizes of the terminal */
	const char *kill;              /* the target that takes signals; NULL: a signal ends this command */
	int tty;                       /* the other side has a terminal: no frames */
	int in;                        /* stdin goes there */
	unsigned char keys[DOCKER_KEYS_MAX];
	size_t key_count; /* keys that detach */
	/* Called once the terminal and signals are prepared; may be NULL. -errno ends all. */
	int (*begin)(void *data, struct error **err);
	void *data;
};

enum stream_end {
	STREAM_ENDED,    /* *ret_status is the waiter's, or 0 without one */
	STREAM_DETACHED, /* by keys */
	STREAM_LEFT,     /* by a signal, or as nobody reads the output: *ret_status is the command's */
};
/* Carries everything until the end. enum stream_end or -errno. */
int stream_run(const struct stream_plan *plan, int *ret_status, struct error **err);
/* Sends the size of the terminal, and before it another one if `redraw`. Without a terminal it does
 * nothing. */
void stream_send_size(const struct api *a, const char *target, int redraw);
/* Reads --detach-keys of the command into the plan; without the option ctrl-p,ctrl-q. 0 or
 * -EINVAL. */
int stream_take_keys(struct stream_plan *plan, const struct options *o, struct error **err);
/* Checks that -t with stdin has a terminal here. 0 or -ENOTTY. */
int stream_check_terminal(int tty, int in, struct error **err);
