/* SPDX-License-Identifier: Apache-2.0
 * The verbs that change containers by their names: stop, restart, kill, pause, unpause, rm,
 * rename. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "cli/commands.h"
#include "cli/container/change.h"
#include "cli/output.h"

enum {
	SECONDS_MAX = 24 * 3600,
	STOP_EXTRA_MS = 60 * 1000,
	STOP_MS = 3600 * 1000, /* the container's own time to stop is not known here; the engine keeps it */
};

static int run_stop(const struct command_spec *c, struct options *o);
static int run_kill(const struct command_spec *c, struct options *o);
static int run_pause(const struct command_spec *c, struct options *o);
static int run_rm(const struct command_spec *c, struct options *o);
static int run_rename(const struct command_spec *c, struct options *o);

/* clang-format off */
#define SIGNAL_OPTION(text) \
	{ "signal", 's', OPTION_STRING, "SIGNAL", "the signal, as a name or a number", .default_text = (text) }
#define NAMES .synopsis = "CONTAINER...", .min_arguments = 1, .max_arguments = -1, .complete = "container"
/* clang-format on */

static const struct option_spec stop_options[] = {
	{ "time", 't', OPTION_STRING, "SECONDS", "how long it may take before it is killed; -1 waits for ever",
	    .default_text = "10, or what the container was made with" },
	{ "timeout", 0, OPTION_STRING, "SECONDS", "the same, as newer dockers call it" },
	SIGNAL_OPTION("the one the container was made with, or TERM"),
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_stop = {
	.name = "stop",
	.summary = "stop containers",
	NAMES,
	.options = stop_options,
	.run = run_stop,
};

const struct command_spec command_container_restart = {
	.name = "restart",
	.summary = "stop containers and start them again",
	NAMES,
	.options = stop_options,
	.run = run_stop,
};

static const struct option_spec kill_options[] = { SIGNAL_OPTION("KILL"), API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_kill = {
	.name = "kill",
	.summary = "send containers a signal",
	NAMES,
	.options = kill_options,
	.run = run_kill,
};

static const struct option_spec machine_options[] = { API_MACHINE_OPTION, { 0 } };

const struct command_spec command_container_pause = {
	.name = "pause",
	.summary = "freeze all processes of containers",
	NAMES,
	.options = machine_options,
	.run = run_pause,
};

const struct command_spec command_container_unpause = {
	.name = "unpause",
	.summary = "let the processes of paused containers go on",
	NAMES,
	.options = machine_options,
	.run = run_pause,
};

static const struct option_spec rm_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "kill a running container first; one that does not exist is fine" },
	{ "volumes", 'v', OPTION_FLAG, NULL, "remove its volumes without a name, too" },
	API_MACHINE_OPTION,
	{ 0 },
};

const struct command_spec command_container_rm = {
	.name = "rm",
	.aliases = (const char *const[]){ "remove", NULL },
	.summary = "remove containers",
	NAMES,
	.options = rm_options,
	.run = run_rm,
};

const struct command_spec command_container_rename = {
	.name = "rename",
	.summary = "give a container another name",
	.synopsis = "CONTAINER NEW",
	.options = machine_options,
	.min_arguments = 2,
	.max_arguments = 2,
	.complete = "container",
	.run = run_rename,
};

#define CONTAINER .kind = "container", .before = "/containers/"

/* ---- the verbs ---- */

/* Also how long an answer may take. */
static int check_time(const char *text, struct api *a, struct error **err)
{
	uint64_t seconds = 0;
	a->timeout_ms = STOP_MS;
	if (!text)
		return 0;
	if (!streq(text, "-1") && (parse_u64(text, &seconds) < 0 || seconds > SECONDS_MAX))
		return error_set(err, EINVAL, "--time %.40s: give seconds, at most %d, or -1", text, SECONDS_MAX);
	a->timeout_ms = streq(text, "-1") ? UINT64_MAX : seconds * 1000 + STOP_EXTRA_MS;
	return 0;
}

static int run_stop(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	const char *seconds = options_string(o, options_given(o, "timeout") ? "timeout" : "time");
	int r = api_init(&a, c, o, &err);
	if (r == 0)
		r = check_time(seconds, &a, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *query = api_target("", "t", seconds, "signal", options_string(o, "signal"), NULL);
	AUTOFREE char *after = xasprintf("/%s", c->name);
	return change_each(&a, options_words(o),
	    &(struct change){ CONTAINER, .method = "POST", .after = after, .query = query });
}

static int run_kill(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *query = api_target("", "signal", options_string(o, "signal"), NULL);
	return change_each(&a, options_words(o),
	    &(struct change){ CONTAINER, .method = "POST", .after = "/kill", .query = query });
}

static int run_pause(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *after = xasprintf("/%s", c->name);
	return change_each(&a, options_words(o),
	    &(struct change){ CONTAINER, .method = "POST", .after = after, .query = "" });
}

static int run_rm(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	int force = options_given(o, "force"), r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *query =
	    api_target("", "force", force ? "1" : NULL, "v", options_given(o, "volumes") ? "1" : NULL, NULL);
	struct change what = { CONTAINER, .method = "DELETE", .after = "", .query = query, .missing_is_fine = force };
	return change_each(&a, options_words(o), &what);
}

static int run_rename(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	const struct strv *words = options_words(o);
	int r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTOFREE char *path = api_path("/containers/", words->items[0], "/rename"),
		      *target = api_target(path, "name", words->items[1], NULL);
	r = api_call(&a, "POST", target, NULL, NULL, &err);
	return r < 0 ? api_failure(&a, "container", words->items[0], r, &err) : 0;
}
