/* SPDX-License-Identifier: Apache-2.0
 * Commands in running containers (command.h). They are the engine's children; of an engine that
 * ended, the monitor's. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/engine/command.h"
#include "agent/engine/events.h"
#include "agent/engine/health.h"
#include "agent/engine/hijack.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "docker/name.h"

enum {
	EXECS_MAX = 4096,
	WORDS_MAX = 4096,
	TEXT_MAX = 1024 * 1024,
	SIZE_MS = 100, /* for a client that sends the size of its terminal after the start */
};

struct exec {
	struct exec *next;
	struct engine *engine;
	struct container *container;
	char *id, *user, *working_directory, *detach_keys;
	unsigned rows, columns;
	struct strv command, env;
	int in, out, err, tty, privileged;
	int started, running, status;
	struct stdio *stdio;
	int channel;                       /* of the start; -1: it is over */
	struct source *starting, *process; /* starting: the channel, or the wait for a size */
	struct http_exchange *starter;     /* of a detached one, while it starts */
	exec_probe_fn probe;               /* of the engine itself, or NULL */
	pid_t pid;
	struct buffer output;
};

static void on_left_child(struct source *s, pid_t pid, int status, void *data)
{
	source_free(s);
}

/* A command that runs longer than its container, as one with the machine's processes may. */
static void leave_child(struct exec *x)
{
	struct source *left;
	source_free(TAKE_PTR(x->process));
	kill(x->pid, SIGKILL);
	if (loop_add_child(x->engine->loop, x->pid, on_left_child, NULL, &left) < 0)
		log_warning("cannot wait for a command of a container that has ended");
}

static void answer_starter(struct exec *x, int code, const struct error *err)
{
	struct http_exchange *http = TAKE_PTR(x->starter);
	if (!http)
		return;
	http_exchange_on_closed(http, NULL, NULL);
	if (code < 0)
		engine_error(http, code, err);
	else
		http_respond(http, 200, NULL, NULL, 0);
}

static void exec_free(struct exec *x)
{
	answer_starter(x, -ECANCELED, NULL);
	for (struct exec **at = &x->engine->execs; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	if (x->process)
		leave_child(x);
	source_free(x->starting);
	fd_close(x->channel);
	stdio_free(x->stdio);
	buffer_done(&x->output);
	strv_done(&x->command);
	strv_done(&x->env);
	free(x->id);
	free(x->user);
	free(x->working_directory);
	free(x->detach_keys);
	free(x);
}

struct json_object *exec_list(const struct container *c)
{
	struct json_object *list = NULL;
	for (const struct exec *x = c->engine->execs; x; x = x->next) {
		if (x->container != c || !x->running || x->probe)
			continue;
		if (!list)
			list = json_object_new_array();
		json_object_array_add(list, json_object_new_string(x->id));
	}
	return list;
}

void exec_free_of(struct container *c)
{
	for (struct exec *x = c->engine->execs, *next; x; x = next) {
		next = x->next;
		if (x->container == c)
			exec_free(x);
	}
}

void exec_forget_probe(struct container *c)
{
	for (struct exec *x = c->engine->execs, *next; x; x = next) {
		next = x->next;
		if (x->container == c && x->probe)
			exec_free(x);
	}
}

/* command: its words stand behind the action. */
static void tell(const struct exec *x, const char *action, int command, int with_status)
{
	struct json_object *more = json_object_new_object();
	AUTOFREE char *words = strv_join(&x->command, " "), *code = xasprintf("%d", x->status),
		      *full = command ? xasprintf("%s: %s", action, words) : xstrdup(action);
	json_add_string(more, "execID", x->id);
	if (with_status)
		json_add_string(more, "exitCode", code);
	event_container_more(x->container, full, more);
}

static struct exec *find(struct engine *e, const char *id)
{
	for (struct exec *x = e->execs; x; x = x->next)
		if (streq(x->id, id))
			return x;
	return NULL;
}

/* ---- POST /containers/ * /exec ---- */

static char *get_text(struct json_object *o, const char *key)
{
	const char *text = NULL;
	return json_get_string(o, key, &text, NULL) == 0 ? xstrdup(text) : NULL;
}

static int check_lists(const struct exec *x, struct error **err)
{
	size_t total = 0;
	for (size_t i = 0; i < x->command.count; i++)
		total += strlen(x->command.items[i]);
	for (size_t i = 0; i < x->env.count; i++)
		total += strlen(x->env.items[i]);
	if (x->command.count > WORDS_MAX || x->env.count > WORDS_MAX || total > TEXT_MAX)
		return error_set(err, EINVAL, "the command is too long");
	return x->command.count ? 0 : error_set(err, EINVAL, "No exec command specified");
}

/* "ConsoleSize":[rows,columns], in either of the two requests. */
static void take_size(struct exec *x, struct json_object *o)
{
	struct json_object *size = NULL;
	if (json_get_array(o, "ConsoleSize", &size, NULL) < 0 || json_object_array_length(size) != 2)
		return;
	x->rows = (uint16_t)json_object_get_int64(json_object_array_get_idx(size, 0));
	x->columns = (uint16_t)json_object_get_int64(json_object_array_get_idx(size, 1));
}

static int parse(struct json_object *o, struct exec *x, struct error **err)
{
	int r = json_get_strv(o, "Cmd", &x->command, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_strv(o, "Env", &x->env, err);
	if (r < 0 && r != -ENOENT)
		return r;
	json_get_bool(o, "AttachStdin", &x->in, NULL);
	json_get_bool(o, "AttachStdout", &x->out, NULL);
	json_get_bool(o, "AttachStderr", &x->err, NULL);
	json_get_bool(o, "Tty", &x->tty, NULL);
	json_get_bool(o, "Privileged", &x->privileged, NULL);
	take_size(x, o);
	x->detach_keys = get_text(o, "DetachKeys");
	if (!x->detach_keys) /* docker-py */
		x->detach_keys = get_text(o, "detachKeys");
	x->user = get_text(o, "User");
	x->working_directory = get_text(o, "WorkingDir");
	unsigned char keys[DOCKER_KEYS_MAX];
	size_t count;
	r = x->detach_keys ? docker_keys_parse(x->detach_keys, keys, &count, err) : 0;
	return r < 0 ? r : check_lists(x, err);
}

static struct exec *exec_new(struct container *c)
{
	struct exec *x = xnew(struct exec);
	*x = (struct exec){ .engine = c->engine,
		.container = c,
		.id = docker_new_id(),
		.channel = -1,
		.next = c->engine->execs };
	c->engine->execs = x;
	return x;
}

static size_t count_execs(const struct engine *e)
{
	size_t n = 0;
	for (const struct exec *x = e->execs; x; x = x->next)
		n++;
	return n;
}

/* The oldest that has ended makes room. */
static void make_room(struct engine *e)
{
	struct exec *oldest = NULL;
	if (count_execs(e) < EXECS_MAX)
		return;
	for (struct exec *x = e->execs; x; x = x->next)
		if (!x->running)
			oldest = x;
	if (oldest)
		exec_free(oldest);
}

static void start(struct exec *x, struct http_exchange *http, int detach, int raw);

void engine_exec_create(struct engine *e, struct http_exchange *http, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = container_find(e, name, &err);
	struct json_object *o = c ? http_exchange_json(http, &err) : NULL;
	if (!o) {
		engine_error(http, c ? -EINVAL : -ENOENT, err);
		return;
	}
	if (!c->pid) {
		error_set(&err, EBUSY, "container %s is not running", c->record.id);
		engine_error(http, -EBUSY, err);
		return;
	}
	if (container_refuse_paused(c, http, "exec"))
		return;
	make_room(e);
	struct exec *x = exec_new(c);
	int r = parse(o, x, &err);
	if (r < 0) {
		exec_free(x);
		engine_error(http, r, err);
		return;
	}
	tell(x, "exec_create", 1, 0);
	if (engine_flag(http, "holmStart", 0)) {
		start(x, http, 0, x->tty);
		return;
	}
	struct json_object *answer = json_object_new_object();
	json_add_string(answer, "Id", x->id);
	http_respond_json(http, 201, answer);
}

/* ---- POST /exec/ * /start ---- */

static void end_probe(struct exec *x, int status)
{
	struct container *c = x->container;
	exec_probe_fn done = x->probe;
	AUTOFREE char *output = buffer_take_string(&x->output);
	exec_free(x);
	done(c, status, output);
}

static void finish(struct exec *x)
{
	if (x->process || x->starting || !stdio_is_over(x->stdio))
		return;
	x->running = 0;
	tell(x, "exec_die", 0, 1);
	stdio_free(TAKE_PTR(x->stdio));
	if (x->probe)
		end_probe(x, x->status);
}

static void on_process(struct source *s, pid_t pid, int status, void *data)
{
	struct exec *x = data;
	source_free(TAKE_PTR(x->process));
	x->status = spawn_exit_status(status);
	finish(x);
}

static void on_ended(void *data)
{
	finish(data);
}

/* ---- the start ---- */

/* As Docker says it, wherever the client looks. */
static void explain(struct exec *x, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	int r = error_set(&err, EINVAL,
	    "OCI runtime exec failed: exec failed: unable to start container process: %s: unknown", text);
	AUTOFREE char *line = xasprintf("%s\r\n", error_text(err, r));
	if (x->probe)
		(void)buffer_append_string(&x->output, error_text(err, r));
	else
		stdio_say(x->stdio, DOCKER_STDERR, line, strlen(line));
	answer_starter(x, r, err);
}

static void take_terminal(struct exec *x, int master)
{
	stdio_set_terminal(x->stdio, master);
	if (stdio_run(x->stdio) < 0)
		log_error("cannot watch a terminal");
}

/* Messages of command_start(). */
static void on_channel(struct source *s, int fd, uint32_t events, void *data)
{
	struct exec *x = data;
	AUTO_JSON struct json_object *o = NULL;
	AUTO_FD int master = -1;
	const char *text = NULL;
	int r = channel_receive(fd, &o, &master);
	if (r == -EAGAIN)
		return;
	if (r == 1 && master >= 0 && x->tty && stdio_is_over(x->stdio)) {
		take_terminal(x, TAKE_FD(master));
		return;
	}
	if (r == 1 && json_get_string(o, "error", &text, NULL) == 0) {
		explain(x, text);
		return;
	}
	source_free(TAKE_PTR(x->starting));
	fd_close(TAKE_FD(x->channel));
	answer_starter(x, 0, NULL);
	finish(x);
}

static int begin(struct exec *x, struct command *c, struct error **err)
{
	int r = x->tty ? 0 : stdio_open(x->stdio, x->in, c->standard);
	if (r == 0)
		r = command_start(c, &x->pid, &x->channel, err);
	for (int i = 0; i < 3; i++)
		fd_close(c->standard[i]);
	if (r == 0)
		r = loop_add_child(x->engine->loop, x->pid, on_process, x, &x->process);
	if (r == 0)
		r = loop_add_io(x->engine->loop, x->channel, EPOLLIN, on_channel, x, &x->starting);
	if (r == 0 && !x->tty)
		r = stdio_run(x->stdio);
	if (r < 0 && x->process)
		leave_child(x);
	return r;
}

static int run(struct exec *x, struct error **err)
{
	AUTO_COMMAND struct command c = COMMAND_NONE;
	const struct bundle_command wish = {
		.words = &x->command,
		.env = &x->env,
		.user = x->user,
		.working_directory = x->working_directory,
		.terminal = x->tty,
		.privileged = x->privileged,
		.rows = x->rows,
		.columns = x->columns,
	};
	int r = bundle_command(x->container, &wish, &c, err);
	return r == 0 ? begin(x, &c, err) : r;
}

/* ---- the engine's own ---- */

static void on_probe_output(enum docker_stream stream, const void *data, size_t size, void *of)
{
	struct exec *x = of;
	(void)buffer_append(&x->output, data, MIN(size, EXEC_PROBE_MAX - x->output.size));
}

struct exec *exec_probe(struct container *c, const struct strv *command, exec_probe_fn done)
{
	static const struct stdio_events events = { .output = on_probe_output, .ended = on_ended };
	AUTO_ERROR struct error *err = NULL;
	struct exec *x = exec_new(c);
	buffer_init(&x->output, EXEC_PROBE_MAX);
	strv_add_all(&x->command, command);
	x->probe = done;
	x->started = x->running = x->out = x->err = 1;
	x->stdio = stdio_new(c->engine->loop, 1, &events, x);
	tell(x, "exec_create", 1, 0);
	tell(x, "exec_start", 1, 0);
	int r = run(x, &err);
	if (r == 0)
		return x;
	(void)buffer_append_string(&x->output, error_text(err, r));
	end_probe(x, r);
	return NULL;
}

void exec_kill(struct exec *x)
{
	if (x->process)
		kill(x->pid, SIGKILL);
}

/* The client is attached: it reads why there is no command. */
static void run_attached(struct exec *x)
{
	AUTO_ERROR struct error *err = NULL;
	int r = run(x, &err);
	if (r == 0)
		return;
	x->status = EXIT_NOT_EXECUTABLE;
	x->running = 0;
	explain(x, error_text(err, r));
	stdio_free(TAKE_PTR(x->stdio));
}

static void on_size_time(struct source *s, void *data)
{
	struct exec *x = data;
	source_free(TAKE_PTR(x->starting));
	run_attached(x);
}

/* A terminal has its size before the command runs. Clients before 1.42 send it after the start. */
static void run_with_size(struct exec *x)
{
	if (x->tty && !x->rows &&
	    loop_add_timer(x->engine->loop, clock_deadline(SIZE_MS), on_size_time, x, &x->starting) == 0)
		return;
	run_attached(x);
}

static void on_starter_gone(void *data)
{
	((struct exec *)data)->starter = NULL;
}

static void run_detached(struct exec *x, struct http_exchange *http)
{
	AUTO_ERROR struct error *err = NULL;
	x->starter = http;
	http_exchange_on_closed(http, on_starter_gone, x);
	int r = run(x, &err);
	if (r == 0)
		return;
	x->running = 0;
	x->status = EXIT_NOT_EXECUTABLE;
	answer_starter(x, r, err);
	stdio_free(TAKE_PTR(x->stdio));
}

/* raw: the client wants no frames. */
static void answer_start(struct exec *x, struct http_exchange *http, int detach, int raw)
{
	AUTO_BUFFER struct buffer early = { 0 };
	struct stdio_client client = { .fd = -1, .in = x->in, .out = x->out, .err = x->err, .raw = raw };
	const char *keys = x->detach_keys && *x->detach_keys ? x->detach_keys : DOCKER_KEYS_DEFAULT;
	if (x->tty && x->in) /* parsed once before */
		(void)docker_keys_parse(keys, client.keys, &client.key_count, NULL);
	if (detach) {
		run_detached(x, http);
		return;
	}
	AUTOFREE char *id = xasprintf("Holm-Exec: %s\r\n", x->id);
	if (hijack_with(http, raw, id, &client.fd, &early) < 0) { /* the client is gone */
		x->status = EXIT_NOT_EXECUTABLE;
		x->running = 0;
		stdio_free(TAKE_PTR(x->stdio));
		return;
	}
	stdio_attach(x->stdio, &client, &early);
	run_with_size(x);
}

static void start(struct exec *x, struct http_exchange *http, int detach, int raw)
{
	static const struct stdio_events events = { .ended = on_ended };
	x->started = x->running = 1;
	x->stdio = stdio_new(x->engine->loop, 1, &events, x);
	stdio_resize(x->stdio, x->rows, x->columns);
	tell(x, "exec_start", 1, 0);
	answer_start(x, http, detach, raw);
}

void engine_exec_start(struct engine *e, struct http_exchange *http, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct exec *x = find(e, name);
	int detach = 0, raw = 0, r = 0;
	struct json_object *o = x ? http_exchange_json(http, &err) : NULL;
	if (!x)
		r = error_set(&err, ENOENT, "No such exec instance: %.64s", name);
	else if (!o)
		r = -EINVAL;
	else if (x->started)
		r = error_set(&err, EBUSY, "exec %s has already run", x->id);
	else if (!x->container->pid)
		r = error_set(&err, EBUSY, "container %s is not running", x->container->record.id);
	if (r < 0) {
		engine_error(http, r, err);
		return;
	}
	if (container_refuse_paused(x->container, http, "exec"))
		return;
	json_get_bool(o, "Detach", &detach, NULL);
	json_get_bool(o, "Tty", &raw, NULL);
	take_size(x, o);
	start(x, http, detach, raw);
}

/* ---- POST /exec/ * /resize ---- */

void engine_exec_resize(struct engine *e, struct http_exchange *http, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct exec *x = find(e, name);
	int r = x ? engine_get_size(http, &x->rows, &x->columns, &err) :
		    error_set(&err, ENOENT, "No such exec instance: %.64s", name);
	if (r < 0) {
		engine_error(http, r, err);
		return;
	}
	if (x->stdio)
		stdio_resize(x->stdio, x->rows, x->columns);
	http_respond(http, 200, NULL, NULL, 0);
	if (x->starting && x->channel < 0) /* the start waits for this */
		on_size_time(NULL, x);
}

/* ---- GET /exec/ * /json ---- */

void engine_exec_inspect(struct engine *e, struct http_exchange *http, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct exec *x = find(e, name);
	if (!x) {
		error_set(&err, ENOENT, "No such exec instance: %.64s", name);
		engine_error(http, -ENOENT, err);
		return;
	}
	struct json_object *o = json_object_new_object(), *process = json_object_new_object();
	json_add_string(o, "ID", x->id);
	json_add_string(o, "ContainerID", x->container->record.id);
	json_add_bool(o, "Running", x->running);
	json_add_i64(o, "Pid", x->running ? x->pid : 0);
	if (x->started && !x->running)
		json_add_i64(o, "ExitCode", x->status);
	else
		json_object_object_add(o, "ExitCode", NULL);
	json_add_bool(o, "OpenStdin", x->in);
	json_add_bool(o, "OpenStdout", x->out);
	json_add_bool(o, "OpenStderr", x->err);
	json_add_bool(o, "CanRemove", !x->running);
	json_add_string(o, "DetachKeys", x->detach_keys ? x->detach_keys : "");
	AUTO_STRV struct strv arguments = { 0 };
	for (size_t i = 1; i < x->command.count; i++)
		strv_add(&arguments, x->command.items[i]);
	json_add_bool(process, "tty", x->tty);
	json_add_string(process, "entrypoint", x->command.items[0]);
	json_add_strv(process, "arguments", &arguments);
	json_add_bool(process, "privileged", x->privileged);
	if (x->user)
		json_add_string(process, "user", x->user);
	json_add(o, "ProcessConfig", process);
	http_respond_json(http, 200, o);
}
