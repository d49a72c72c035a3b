/* SPDX-License-Identifier: Apache-2.0
 * `holm start CONTAINER...`, `holm attach CONTAINER` and `holm wait CONTAINER...`. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/follow.h"
#include "cli/output.h"

static int run_start(const struct command_spec *c, struct options *o);
static int run_attach(const struct command_spec *c, struct options *o);
static int run_wait(const struct command_spec *c, struct options *o);

static const struct option_spec start_options[] = {
	API_MACHINE_OPTION,
	{ "attach", 'a', OPTION_SWITCH, NULL, "stay with its output until it ends, and pass signals on" },
	{ "interactive", 'i', OPTION_SWITCH, NULL, "pass stdin on, too" },
	FOLLOW_OPTIONS,
	{ 0 },
};

const struct command_spec command_container_start = {
	.name = "start",
	.synopsis = "CONTAINER...",
	.summary = "start containers that were made or have ended",
	.options = start_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "container",
	.run = run_start,
};

static const struct option_spec attach_options[] = {
	API_MACHINE_OPTION,
	{ "no-stdin", 0, OPTION_SWITCH, NULL, "give it no input" },
	FOLLOW_OPTIONS,
	{ 0 },
};

const struct command_spec command_container_attach = {
	.name = "attach",
	.synopsis = "CONTAINER",
	.summary = "stay with a running container: its output, its input, its exit status",
	.options = attach_options,
	.min_arguments = 1,
	.max_arguments = 1,
	.complete = "container",
	.run = run_attach,
};

static const struct option_spec wait_options[] = {
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_wait = {
	.name = "wait",
	.synopsis = "CONTAINER...",
	.summary = "wait until containers have ended, and print their exit statuses",
	.options = wait_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "container",
	.run = run_wait,
};

/* ---- start ---- */

static int start_attached(const struct api *a, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const char *name = options_words(o)->items[0];
	struct follow_facts facts = { 0 };
	int status = 0, r = follow_inspect(a, name, &facts, &err);
	struct follow f = {
		.api = a,
		.id = name,
		.tty = facts.tty,
		.streams = { .in = options_switch(o, "interactive", 0) && facts.open_stdin, .out = 1, .err = 1 },
		.condition = facts.auto_remove ? "removed" : "next-exit",
		.starts = 1,
		.resizes = 1,
	};
	if (r == 0)
		r = stream_check_terminal(facts.tty, f.streams.in, &err);
	if (r == 0)
		r = follow_run(&f, o, &status, &err);
	return follow_end(a, name, r, status, &err);
}

static int start_one(const struct api *a, const char *name, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	int r = follow_start(a, name, &err);
	if (r < 0)
		return api_failure(a, "container", name, r, &err);
	output_line("%s", name);
	return 0;
}

static int run_start(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int attached = options_switch(o, "attach", 0) || options_switch(o, "interactive", 0);
	int r = attached && options_words(o)->count > 1 ?
		    error_set(&err, EINVAL, "start --attach takes one container") :
		    api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	return attached ? start_attached(&a, o) : api_each(&a, options_words(o), start_one, NULL);
}

/* ---- attach ---- */

static int attach(const struct api *a, struct options *o, const char *name, int *ret_status, struct error **err)
{
	struct follow_facts facts = { 0 };
	int r = follow_inspect(a, name, &facts, err);
	if (r == 0 && (!facts.running || facts.paused))
		r = error_set(err, EBUSY, "container %s is %s", name, facts.paused ? "paused" : "not running");
	struct follow f = {
		.api = a,
		.id = name,
		.tty = facts.tty,
		.streams = { .in = facts.open_stdin && !options_switch(o, "no-stdin", 0), .out = 1, .err = 1 },
		.condition = facts.auto_remove ? "removed" : "not-running",
		.redraw = 1,
	};
	if (r == 0)
		r = stream_check_terminal(facts.tty, f.streams.in, err);
	return r < 0 ? r : follow_run(&f, o, ret_status, err);
}

static int run_attach(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	const char *name = options_words(o)->items[0];
	int status = 0, r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	r = attach(&a, o, name, &status, &err);
	return follow_end(&a, name, r, status, &err);
}

/* ---- wait ---- */

static int wait_one(const struct api *a, const char *name, void *data)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTO_JSON struct json_object *answer = NULL;
	AUTOFREE char *target = api_path("/containers/", name, "/wait");
	uint64_t status = 0;
	int r = api_open(a, "POST", target, NULL, NULL, &s, &err);
	if (r >= 0)
		r = http_response_line(&s.response, UINT64_MAX, &answer, &err);
	if (r == 0 || (r > 0 && json_get_u64(answer, "StatusCode", &status, NULL) < 0))
		r = error_set(&err, ECONNRESET, "machine \"%s\" went away", a->machine);
	if (r < 0)
		return api_failure(a, "container", name, r, &err);
	output_line("%llu", (unsigned long long)status);
	fflush(stdout);
	return 0;
}

static int run_wait(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = api_init(&a, c, o, &err);
	return r < 0 ? output_failure(r, err) : api_each(&a, options_words(o), wait_one, NULL);
}
