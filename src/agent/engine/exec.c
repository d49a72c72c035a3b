/* SPDX-License-Identifier: Apache-2.0
 * Commands in running containers. crun stays the parent of such a process while it runs, and ends
 * with its status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engine/events.h"
#include "agent/engine/health.h"
#include "agent/engine/hijack.h"
#include "agent/engine/terminal.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "docker/name.h"

enum { EXECS_MAX = 4096, WORDS_MAX = 4096, TEXT_MAX = 1024 * 1024, CHILDREN_MAX = 4096 };

struct exec {
	struct exec *next;
	struct engine *engine;
	struct container *container;
	char *id, *user, *working_directory;
	unsigned rows, columns;
	struct strv command, env;
	int in, out, err, tty, privileged;
	struct terminal *terminal; /* until crun has sent it */
	int started, running, status;
	struct stdio *stdio;
	struct source *process;
	struct http_exchange *starter; /* of a detached one */
	exec_probe_fn probe;           /* of the engine itself, or NULL */
	pid_t pid;                     /* crun's */
	struct buffer output;
};

/* A file for crun: "json" describes the command, "log" has crun's errors. */
static char *file_of(const struct exec *x, const char *kind)
{
	return xasprintf(ENGINE_RUN "/%s/exec-%s.%s", x->container->record.id, x->id, kind);
}

static void remove_files(const struct exec *x)
{
	AUTOFREE char *description = file_of(x, "json"), *log = file_of(x, "log");
	unlink(description);
	unlink(log);
}

static void exec_free(struct exec *x)
{
	remove_files(x);
	for (struct exec **at = &x->engine->execs; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	source_free(x->process);
	terminal_free(x->terminal);
	stdio_free(x->stdio);
	buffer_done(&x->output);
	strv_done(&x->command);
	strv_done(&x->env);
	free(x->id);
	free(x->user);
	free(x->working_directory);
	free(x);
}

void exec_free_of(struct container *c)
{
	for (struct exec *x = c->engine->execs, *next; x; x = next) {
		next = x->next;
		if (x->container == c)
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
	x->user = get_text(o, "User");
	x->working_directory = get_text(o, "WorkingDir");
	return check_lists(x, err);
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
	struct exec *x = xnew(struct exec);
	*x = (struct exec){ .engine = e, .container = c, .id = docker_new_id(), .next = e->execs };
	e->execs = x;
	int r = parse(o, x, &err);
	if (r < 0) {
		exec_free(x);
		engine_error(http, r, err);
		return;
	}
	tell(x, "exec_create", 1, 0);
	struct json_object *answer = json_object_new_object();
	json_add_string(answer, "Id", x->id);
	http_respond_json(http, 201, answer);
}

/* ---- POST /exec/ * /start ---- */

/* "ConsoleSize":[rows,columns], in either of the two requests. */
static void take_size(struct exec *x, struct json_object *o)
{
	struct json_object *size = NULL;
	if (json_get_array(o, "ConsoleSize", &size, NULL) < 0 || json_object_array_length(size) != 2)
		return;
	x->rows = (uint16_t)json_object_get_int64(json_object_array_get_idx(size, 0));
	x->columns = (uint16_t)json_object_get_int64(json_object_array_get_idx(size, 1));
}

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
	AUTOFREE char *log = file_of(x, "log");
	struct stat st;
	if (x->process || !stdio_is_over(x->stdio))
		return;
	if (stat(log, &st) == 0 && st.st_size > 0) {
		/* crun said it on stderr, too. */
		int code;
		AUTOFREE char *text UNUSED = crun_error(log, x->command.items[0], &code);
		x->status = code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	remove_files(x);
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
	if (x->terminal && stdio_is_over(x->stdio))
		terminal_take(x->terminal);
	terminal_free(TAKE_PTR(x->terminal));
	x->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	finish(x);
}

static void on_ended(void *data)
{
	finish(data);
}

static int write_process(struct exec *x, const char *path, struct error **err)
{
	const struct bundle_command command = {
		.words = &x->command,
		.env = &x->env,
		.user = x->user,
		.working_directory = x->working_directory,
		.terminal = x->tty,
		.privileged = x->privileged,
		.rows = x->rows,
		.columns = x->columns,
	};
	AUTO_JSON struct json_object *process = bundle_process(x->container, &command, err);
	if (!process)
		return -EINVAL;
	AUTOFREE char *text = json_to_string(process, 0);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	return r < 0 ? error_set_errno(err, r, "cannot write the command's description") : 0;
}

static void on_terminal(int master, void *data)
{
	struct exec *x = data;
	stdio_set_terminal(x->stdio, master);
	if (stdio_run(x->stdio) < 0)
		log_error("cannot watch a terminal");
}

static int run(struct exec *x, struct error **err)
{
	AUTOFREE char *file = file_of(x, "json"), *log = file_of(x, "log");
	int standard[3] = { -1, -1, -1 };
	pid_t pid = 0;
	int r = write_process(x, file, err);
	if (r < 0)
		return r;
	if (x->tty) {
		x->terminal = terminal_new(x->engine, on_terminal, x, err);
		r = x->terminal ? 0 : -EIO;
	} else {
		r = stdio_open(x->stdio, x->in, standard);
	}
	const char *const words[] = { "exec", "--process", file,
		x->terminal ? "--console-socket" : x->container->record.id,
		x->terminal ? terminal_path(x->terminal) : NULL, x->container->record.id, NULL };
	if (r == 0)
		r = crun_start(x->engine, log, words, standard, &pid, err);
	for (int i = 0; i < 3; i++)
		fd_close(standard[i]);
	if (r == 0)
		r = loop_add_child(x->engine->loop, pid, on_process, x, &x->process);
	x->pid = pid;
	return r == 0 && !x->tty ? stdio_run(x->stdio) : r;
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
	struct exec *x = xnew(struct exec);
	*x = (struct exec){ .engine = c->engine, .container = c, .id = docker_new_id(), .next = c->engine->execs };
	c->engine->execs = x;
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

/* crun's end leaves the command alone: both get the signal. */
void exec_kill(struct exec *x)
{
	AUTOFREE char *path = xasprintf("/proc/%d/task/%d/children", x->pid, x->pid), *text = NULL;
	AUTO_STRV struct strv pids = { 0 };
	uint32_t pid;
	if (!x->process)
		return;
	if (path_read_file(path, CHILDREN_MAX, &text, NULL) == 0)
		strv_split(&pids, text, " \n");
	for (size_t i = 0; i < pids.count; i++)
		if (parse_u32(pids.items[i], &pid) == 0)
			kill((pid_t)pid, SIGKILL);
	if (!pids.count)
		kill(x->pid, SIGKILL);
}

static void answer_start(struct exec *x, struct http_exchange *http, int detach)
{
	AUTO_BUFFER struct buffer early = { 0 };
	AUTO_ERROR struct error *err = NULL;
	struct stdio_client client = { .fd = -1, .in = x->in, .out = x->out, .err = x->err };
	if (detach) {
		int r = run(x, &err);
		if (r < 0)
			engine_error(http, r, err);
		else
			http_respond(http, 200, NULL, NULL, 0);
		return;
	}
	if (hijack(http, x->tty, &client.fd, &early) < 0)
		return;
	stdio_attach(x->stdio, &client, &early);
	int r = run(x, &err);
	if (r < 0) {
		AUTOFREE char *line = xasprintf("%s\n", error_text(err, r));
		x->status = EXIT_NOT_EXECUTABLE;
		x->running = 0;
		stdio_say(x->stdio, DOCKER_STDERR, line, strlen(line));
		stdio_free(TAKE_PTR(x->stdio));
	}
}

void engine_exec_start(struct engine *e, struct http_exchange *http, const char *name)
{
	static const struct stdio_events events = { .ended = on_ended };
	AUTO_ERROR struct error *err = NULL;
	struct exec *x = find(e, name);
	int detach = 0, r = 0;
	struct json_object *o = x ? http_exchange_json(http, &err) : NULL;
	if (!x)
		r = error_set(&err, ENOENT, "No such exec instance: %.64s", name);
	else if (!o)
		r = -EINVAL;
	else if (x->started)
		r = error_set(&err, EBUSY, "exec %s has already run", x->id);
	if (r < 0) {
		engine_error(http, r, err);
		return;
	}
	if (container_refuse_paused(x->container, http, "exec"))
		return;
	json_get_bool(o, "Detach", &detach, NULL);
	x->started = x->running = 1;
	x->stdio = stdio_new(e->loop, 1, &events, x);
	take_size(x, o);
	stdio_resize(x->stdio, x->rows, x->columns);
	tell(x, "exec_start", 1, 0);
	answer_start(x, http, detach);
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
	if (x->started && !x->running)
		json_add_i64(o, "ExitCode", x->status);
	else
		json_object_object_add(o, "ExitCode", NULL);
	json_add_bool(o, "OpenStdin", x->in);
	json_add_bool(o, "OpenStdout", x->out);
	json_add_bool(o, "OpenStderr", x->err);
	json_add_bool(process, "tty", x->tty);
	json_add_string(process, "entrypoint", x->command.items[0]);
	json_add(o, "ProcessConfig", process);
	http_respond_json(http, 200, o);
}
