/* SPDX-License-Identifier: Apache-2.0
 * `holm exec CONTAINER CMD...`. */
#include <errno.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/body.h"
#include "cli/container/stream.h"
#include "cli/output.h"

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	API_MACHINE_OPTION,
	{ "detach", 'd', OPTION_SWITCH, NULL, "leave the command running inside, and return at once" },
	{ "detach-keys", 0, OPTION_STRING, "KEYS", "keys that leave the command running",
	    .default_text = "ctrl-p,ctrl-q" },
	{ "env", 'e', OPTION_LIST, "K=V|K", "set a variable; K alone takes its value from here" },
	{ "env-file", 0, OPTION_LIST, "FILE", "read variables from a file, one K=V or K a line", .complete = "file" },
	{ "interactive", 'i', OPTION_SWITCH, NULL, "pass stdin on" },
	{ "privileged", 0, OPTION_SWITCH, NULL, "every right that the container's user namespace can have" },
	{ "tty", 't', OPTION_SWITCH, NULL, "give the command a terminal" },
	{ "user", 'u', OPTION_STRING, "NAME|UID[:GROUP|GID]", "the user inside", .default_text = "the container's" },
	{ "workdir", 'w', OPTION_STRING, "DIR", "the directory to run in", .default_text = "the container's" },
	{ 0 },
};

const struct command_spec command_container_exec = {
	.name = "exec",
	.synopsis = "CONTAINER CMD...",
	.summary = "run a command in a running container",
	.details =
	    "Options end at CONTAINER. The exit status is the command's, 126 and 127 when it cannot be run or is "
	    "not there, 1 when there is no such container or it does not run.",
	.options = options,
	.min_arguments = 2,
	.max_arguments = -1,
	.stop_at_first = 1,
	.complete = "container",
	.run = run,
};

struct exec {
	const struct api *api;
	struct options *options;
	int tty, in, detached;
};

/* The command and its surroundings; owned, or NULL and an error. */
static struct json_object *make_body(const struct exec *x, struct error **err)
{
	AUTO_STRV struct strv env = { 0 }, command = { 0 };
	const struct strv *words = options_words(x->options);
	int r = body_add_env(&env, options_list(x->options, "env-file"), options_list(x->options, "env"), err);
	if (r < 0)
		return NULL;
	struct json_object *body = json_object_new_object(), *size = x->tty ? body_console_size() : NULL;
	for (size_t i = 1; i < words->count; i++)
		strv_add(&command, words->items[i]);
	json_add_strv(body, "Cmd", &command);
	if (env.count)
		json_add_strv(body, "Env", &env);
	json_add_string(body, "User", options_string(x->options, "user"));
	json_add_string(body, "WorkingDir", options_string(x->options, "workdir"));
	json_add_string(body, "DetachKeys", options_string(x->options, "detach-keys"));
	json_add_bool(body, "Tty", x->tty);
	json_add_bool(body, "Privileged", options_switch(x->options, "privileged", 0));
	json_add_bool(body, "AttachStdin", x->in);
	json_add_bool(body, "AttachStdout", !x->detached);
	json_add_bool(body, "AttachStderr", !x->detached);
	if (size)
		json_add(body, "ConsoleSize", size);
	return body;
}

static char *exec_path(const struct exec *x)
{
	return api_path("/containers/", options_words(x->options)->items[0], "/exec");
}

static int read_status(const struct exec *x, const char *id, int *ret, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	uint64_t status = 0;
	AUTOFREE char *target = api_path("/exec/", id, "/json");
	int r = api_call(x->api, "GET", target, NULL, &answer, err);
	if (r >= 0 && json_get_u64(answer, "ExitCode", &status, err) < 0)
		r = error_set(err, EPROTO, "the engine does not say how the command ended");
	*ret = (int)(status & 0xff);
	return MIN(r, 0);
}

/* One request makes the command and starts it. Its answer's head names it. */
static int run_attached(const struct exec *x, struct json_object *body, int *ret_status, struct error **err)
{
	AUTO_API_STREAM struct api_stream connection = API_STREAM_NONE;
	AUTOFREE char *path = exec_path(x), *target = api_target(path, "holmStart", "1", NULL);
	struct stream_plan plan = { .api = x->api, .connection = &connection, .tty = x->tty, .in = x->in };
	int r = stream_take_keys(&plan, x->options, err);
	if (r == 0)
		r = api_open(x->api, "POST", target, body, "tcp", &connection, err);
	if (r < 0)
		return r;
	const char *id = http_head_get(&connection.response.head, "holm-exec");
	if (r != 101 || !id)
		return error_set(err, EPROTO, "the engine attaches nothing");
	AUTOFREE char *resize = api_path("/exec/", id, "/resize");
	plan.resize = resize;
	r = stream_run(&plan, ret_status, err);
	return r == STREAM_ENDED ? read_status(x, id, ret_status, err) : MIN(r, 0);
}

static int run_detached(const struct exec *x, struct json_object *body, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL, *start = json_object_new_object();
	AUTOFREE char *path = exec_path(x);
	const char *id = NULL;
	int r = api_call(x->api, "POST", path, body, &answer, err);
	if (r >= 0 && json_get_string(answer, "Id", &id, NULL) < 0)
		r = error_set(err, EPROTO, "the engine gives the command no identity");
	if (r < 0)
		return r;
	json_add_bool(start, "Detach", 1);
	json_add_bool(start, "Tty", x->tty);
	AUTOFREE char *target = api_path("/exec/", id, "/start");
	return MIN(api_call(x->api, "POST", target, start, NULL, err), 0);
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	struct exec x = {
		.api = &a,
		.options = o,
		.tty = options_switch(o, "tty", 0),
		.detached = options_switch(o, "detach", 0),
	};
	int status = 0;
	x.in = options_switch(o, "interactive", 0) && !x.detached;
	int r = stream_check_terminal(x.tty, x.in, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r < 0)
		return output_failure(r, err);
	AUTO_JSON struct json_object *body = make_body(&x, &err);
	r = !body ? -EINVAL : x.detached ? run_detached(&x, body, &err) : run_attached(&x, body, &status, &err);
	return r < 0 ? api_failure(&a, "container", options_words(o)->items[0], r, &err) : status;
}
