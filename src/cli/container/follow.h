/* SPDX-License-Identifier: Apache-2.0
 * Staying with a container until it ends: `run`, `start -a`, `attach`. */
#pragma once

#include "cli/container/body.h"
#include "cli/container/stream.h"

struct follow {
	const struct api *api;
	const char *id; /* or its name */
	int tty;
	struct body_streams streams;
	const char *condition; /* of wait: "next-exit", "removed" or "not-running" */
	int redraw;            /* ask a program that is there already to draw its screen again */
	int starts;            /* start the container; else it runs */
	int resizes;           /* its terminal gets its size before the start */
};
/* Attaches, starts, and carries streams and signals until the end; options: --sig-proxy and
 * --detach-keys of the command. enum stream_end, or -errno. */
int follow_run(const struct follow *f, const struct options *o, int *ret_status, struct error **err);
/* POST /containers/ID/start. 0 or -errno. */
int follow_start(const struct api *a, const char *id, struct error **err);
/* The exit status of a container that could not be started, as Docker's client has it. */
int follow_start_status(const struct api *a, int code, const struct error *err);

/* The state of a container, from inspect. */
struct follow_facts {
	int tty, open_stdin, running, paused, auto_remove;
};
int follow_inspect(const struct api *a, const char *id, struct follow_facts *ret, struct error **err);
/* The container's end as an exit status; failures are shown. */
int follow_end(const struct api *a, const char *name, int r, int status, struct error **err);

/* clang-format off */
#define FOLLOW_OPTIONS \
	{ "detach-keys", 0, OPTION_STRING, "KEYS", "keys that leave the container running", \
	  .default_text = "ctrl-p,ctrl-q" }, \
	{ "sig-proxy", 0, OPTION_SWITCH, NULL, "pass signals on to the container; --sig-proxy=false: do not", \
	  .default_text = "true" }
/* clang-format on */
