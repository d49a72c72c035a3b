/* SPDX-License-Identifier: Apache-2.0
 * The table of containers, and how one is found and removed.
 *
 * A container is three things: its record in the machine, its folder (upper, work, log) in
 * ENGINE_CONTAINERS, and, while it runs, what is mounted in ENGINE_RUN. A record without a folder
 * is of another machine (a clone, an import): it is removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/endpoints.h"
#include "agent/engine/events.h"
#include "agent/engine/health.h"
#include "agent/engine/lent_sockets.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/network_join.h"
#include "agent/engine/processes.h"
#include "agent/engine/stack.h"
#include "agent/engine/terminal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/name.h"

enum { LOG_SIZE = 16 * 1024 * 1024, LOG_FILES = 3, REST_MS = 2000 };

int64_t container_now(void)
{
	return clock_realtime_ns();
}

void container_save(struct container *c)
{
	/* The record's sync takes the mark along. */
	if (c->record.body.restart != DOCKER_RESTART_NO)
		policy_mark(c->engine);
	int r = record_save(c->engine->records, &c->record);
	if (r < 0)
		log_warning("container %.12s: cannot write its record: %s", c->record.id, strerror(-r));
}

struct container *container_new(struct engine *e, struct record *r)
{
	struct container *c = xnew(struct container);
	*c = (struct container){ .engine = e,
		.record = *r,
		.next = e->containers,
		.log_directory = -1,
		.log = { .fd = -1 },
		.process = -1,
		.mounts = -1,
		.oom = -1,
		.namespaces = { -1, -1 },
		.ipc = -1,
		.pids = -1 };
	*r = (struct record){ 0 };
	e->containers = c;
	return c;
}

void container_free(struct container *c)
{
	struct source *sources[] = { c->kill_timer, c->cleaning, c->policy_timer, c->holder_timer };
	for (struct container **at = &c->engine->containers; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		source_free(sources[i]);
	container_forget_pause(c);
	container_oom_end(c);
	health_free(c);
	mounts_stop(c);
	lent_sockets_free(c);
	exec_free_of(c);
	archive_forget(c);
	stdio_free(c->stdio);
	docker_log_done(&c->log);
	fd_close(c->log_directory);
	fd_close(c->process);
	fd_close(c->mounts);
	image_maybe_unused(c);
	docker_ports_done(&c->ports);
	record_done(&c->record);
	free(c);
}

static int matches(const struct container *c, const char *name, size_t size)
{
	return streq(c->record.id, name) || streq(c->record.name, name[0] == '/' ? name + 1 : name) ? 2 :
	       size > 0 && strncmp(c->record.id, name, size) == 0                                   ? 1 :
												      0;
}

struct container *container_find(struct engine *e, const char *name, struct error **err)
{
	struct container *found = NULL;
	size_t size = strspn(name, "0123456789abcdef");
	int count = 0;
	size = name[size] ? 0 : size;
	for (struct container *c = e->containers; c; c = c->next) {
		int match = matches(c, name, size);
		if (match == 2)
			return c;
		if (match == 1) {
			found = c;
			count++;
		}
	}
	if (count > 1)
		error_set(err, EINVAL, "multiple IDs found with provided prefix: %.64s", name);
	else if (!found)
		error_set(err, ENOENT, "No such container: %.256s", name);
	return count == 1 ? found : NULL;
}

static int has_folder(const struct engine *e, const char *id)
{
	struct stat st;
	return fstatat(e->folders, id, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int is_taken(const struct engine *e, const char *name)
{
	for (const struct container *c = e->containers; c; c = c->next)
		if (streq(c->record.name, name))
			return 1;
	return 0;
}

static void load_one(struct engine *e, const char *id)
{
	AUTO_ERROR struct error *err = NULL;
	struct record r;
	int result = record_load(e->records, id, &r, &err);
	if (result < 0) {
		log_warning("the record of container %.12s is left out: %s", id, error_text(err, EBADMSG));
		if (result == -ENODATA)
			record_remove(e->records, id);
		return;
	}
	if (!has_folder(e, id) || is_taken(e, r.name)) {
		record_done(&r);
		record_remove(e->records, id);
		return;
	}
	stack_expect_holder(container_new(e, &r));
}

static void sort(struct engine *e)
{
	struct container *sorted = NULL;
	while (e->containers) {
		struct container *c = e->containers, **at = &sorted;
		e->containers = c->next;
		while (*at && (*at)->record.created > c->record.created)
			at = &(*at)->next;
		c->next = *at;
		*at = c;
	}
	e->containers = sorted;
}

int container_load_all(struct engine *e, struct error **err)
{
	int count = 0;
	DIR *d = path_list(e->records);
	if (!d)
		return error_set_errno(err, errno, "cannot read the records of the containers");
	for (struct dirent *entry; (entry = readdir(d)) && count < RECORDS_MAX;) {
		if (!docker_is_id(entry->d_name))
			continue;
		load_one(e, entry->d_name);
		count++;
	}
	closedir(d);
	sort(e);
	return 0;
}

/* ---- streams and log ---- */

static void on_output(enum docker_stream stream, const void *data, size_t size, void *of)
{
	struct container *c = of;
	if (c->log.fd >= 0 && docker_log_write(&c->log, stream, data, size, container_now()) < 0)
		log_debug("container %.12s: cannot write its log", c->record.id);
	container_commit(c);
}

void container_commit(struct container *c)
{
	struct spool *s = stdio_spool(c->stdio);
	const size_t pending[] = { c->log.partial[0].size, c->log.partial[1].size };
	if (s)
		spool_commit(s, pending, c->log.fd < 0 ? 0 : c->log.inode, c->log.size);
}

static void on_input_closed(void *of)
{
	const struct container *c = of;
	if (c->held)
		monitor_close(c->record.id, HELD_INPUT);
}

static void conclude(struct container *c);

static void on_streams_ended(void *of)
{
	conclude(of);
}

void container_open_log(struct container *c)
{
	const struct docker_body *b = &c->record.body;
	if (b->log_none || c->log.fd >= 0)
		return;
	fd_close(c->log_directory);
	c->log_directory = openat(c->engine->folders, c->record.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r =
	    c->log_directory < 0 ?
		-errno :
		docker_log_open(&c->log, c->log_directory, b->log_max_size == UINT64_MAX ? LOG_SIZE : b->log_max_size,
		    b->log_max_files == UINT64_MAX ? LOG_FILES : (unsigned)MIN(b->log_max_files, 100));
	if (r < 0)
		log_warning("container %.12s: cannot open its log: %s", c->record.id, strerror(-r));
}

struct stdio *container_stdio(struct container *c)
{
	static const struct stdio_events events = { .output = on_output,
		.ended = on_streams_ended,
		.input_closed = on_input_closed };
	if (!c->stdio)
		c->stdio = stdio_new(c->engine->loop, c->record.body.stdin_once, &events, c);
	return c->stdio;
}

/* ---- the end ---- */

static void tell_end(struct container *c)
{
	struct json_object *more = json_object_new_object();
	AUTOFREE char *code = xasprintf("%d", c->record.exit_code),
		      *seconds = xasprintf("%lld", (long long)((c->record.finished - c->record.started) / 1000000000));
	json_add_string(more, "execDuration", seconds);
	json_add_string(more, "exitCode", code);
	event_container_more(c, "die", more);
	container_network_leave(c);
	if (c->stopping)
		event_container(c, "stop", NULL, NULL);
	c->stopping = 0;
}

static void forget(struct container *c)
{
	if (c->held)
		monitor_forget(c->record.id);
	c->held = 0;
}

/* The process has ended, and its output with it. */
static void conclude(struct container *c)
{
	if (!c->ended)
		return;
	c->record.status = CONTAINER_EXITED;
	c->record.exit_code = c->status;
	c->record.finished = MAX(c->finished, c->run);
	c->pid = 0;
	c->ended = 0;
	fd_close(TAKE_FD(c->process));
	fd_close(TAKE_FD(c->mounts));
	if (c->log.fd >= 0)
		docker_log_finish(&c->log, c->record.finished);
	docker_log_done(&c->log);
	source_free(TAKE_PTR(c->kill_timer));
	container_forget_pause(c);
	container_oom_end(c);
	health_stop(c);
	exec_forget_probe(c);
	container_close_ports(c);
	/* Nobody reads the record of one that goes now: the next engine removes it as well. */
	int goes = c->record.body.auto_remove && !c->again;
	if (!goes)
		container_save(c);
	forget(c);
	tell_end(c);
	stdio_free(TAKE_PTR(c->stdio));
	c->remove |= goes;
	policy_decide(c, 1);
	if (!c->remove)
		waiters_tell(c, 0);
	container_clean(c);
}

void container_remove(struct container *c)
{
	c->remove = 1;
	policy_cancel(c);
	if (c->pid)
		container_signal(c, SIGKILL);
	else if (!c->cleaning && !c->starting && !c->ended && !c->preparing)
		container_clean(c);
}

/* ---- signals ---- */

void container_signal(struct container *c, int number)
{
	if (c->pid && c->process >= 0 && syscall(SYS_pidfd_send_signal, c->process, number, NULL, 0) == 0)
		event_container_number(c, "kill", "signal", number);
}

static void on_kill_time(struct source *s, void *data)
{
	struct container *c = data;
	source_free(TAKE_PTR(c->kill_timer));
	container_signal(c, SIGKILL);
}

void container_stop(struct container *c, int64_t seconds)
{
	const struct docker_body *b = &c->record.body;
	c->stopping = 1;
	if (seconds < 0)
		seconds = b->stop_timeout_s >= 0 ? b->stop_timeout_s : ENGINE_STOP_SECONDS;
	container_signal(c, b->stop_signal ? b->stop_signal : SIGTERM);
	container_thaw(c);
	source_free(TAKE_PTR(c->kill_timer));
	uint64_t ms = (uint64_t)MIN(seconds, 1000000) * 1000;
	if (loop_add_timer(c->engine->loop, clock_deadline(ms), on_kill_time, c, &c->kill_timer) < 0)
		container_signal(c, SIGKILL);
}

/* ---- the start ---- */

static void on_rest_time(struct source *s, void *data)
{
	struct container *c = data;
	source_free(TAKE_PTR(c->kill_timer));
	processes_kill(c->mounts);
	conclude(c);
}

/* In another container's PID namespace the other processes do not end with the first one. They are
 * killed by the cgroup; where there is none, by their mount namespace, and their output is waited
 * for REST_MS. */
static void end_rest(struct container *c)
{
	if (c->engine->limits & DOCKER_LIMIT_CGROUP)
		(void)container_cgroup_write(c, "cgroup.kill", "1");
	else
		processes_kill(c->mounts);
	source_free(TAKE_PTR(c->kill_timer));
	(void)loop_add_timer(c->engine->loop, clock_deadline(REST_MS), on_rest_time, c, &c->kill_timer);
}

void container_ended(struct container *c, int status)
{
	c->pid = 0;
	c->ended = 1;
	c->status = status;
	if (c->record.body.namespaces.pid_container)
		end_rest(c);
	if (stdio_is_over(c->stdio))
		conclude(c);
}

/* It did not start: it is as before, with an error. */
static void fail_start(struct container *c, int code, const struct error *err)
{
	struct engine *engine = c->engine;
	free(c->record.error);
	c->record.error = xstrdup(error_text(err, code));
	c->record.exit_code = code == -ENOENT ? EXIT_NOT_FOUND : code == -EACCES ? EXIT_NOT_EXECUTABLE : 128;
	forget(c);
	stdio_free(TAKE_PTR(c->stdio));
	docker_log_done(&c->log);
	container_close_ports(c);
	container_network_leave(c);
	c->restarting = 0;
	if (!c->starter) {
		policy_decide(c, 0);
		log_warning("container %s does not start%s: %s", c->record.name,
		    c->policy_wants ? ", and is tried again" : "", error_text(err, code));
	}
	engine_answer(TAKE_PTR(c->starter), code == -ENOENT || code == -EACCES ? -EINVAL : code, err);
	c->remove |= c->record.body.auto_remove;
	if (!c->remove)
		container_save(c);
	if (!c->remove)
		waiters_tell(c, 0);
	container_clean(c);
	engine_serve(engine);
}

static int explain_failure(struct container *c, struct error **err)
{
	AUTOFREE char *run = path_join(ENGINE_RUN, c->record.id), *log = path_join(run, "log");
	const struct docker_body *b = &c->record.body;
	const char *program = b->entrypoint.count ? b->entrypoint.items[0] :
			      b->command.count    ? b->command.items[0] :
						    "";
	int code = EIO;
	AUTOFREE char *text = crun_error(log, program, &code);
	return error_set(err, code, "failed to create task for container: %s", text);
}

void container_failed(struct container *c)
{
	AUTO_ERROR struct error *err = NULL;
	int r = explain_failure(c, &err);
	c->starting = 0;
	fail_start(c, r, err);
}

/* An earlier engine may have written it down. */
static void note_start(struct container *c)
{
	if (c->record.status == CONTAINER_RUNNING)
		return;
	c->record.status = CONTAINER_RUNNING;
	c->record.started = container_now();
	c->record.finished = 0;
	c->record.exit_code = 0;
	c->record.oom_killed = 0;
	free(TAKE_PTR(c->record.error));
	container_save(c);
	event_container(c, "start", NULL, NULL);
	if (c->restarting)
		event_container(c, "restart", NULL, NULL);
	c->restarting = 0;
}

void container_started(struct container *c, pid_t pid)
{
	c->starting = 0;
	c->pid = pid;
	fd_close(c->mounts);
	c->mounts = c->record.body.namespaces.pid_container && !(c->engine->limits & DOCKER_LIMIT_CGROUP) ?
			process_mounts(pid) :
			-1;
	note_start(c);
	container_oom_watch(c);
	container_found_paused(c);
	health_start(c);
	if (stdio_run(c->stdio) < 0)
		container_signal(c, SIGKILL);
	container_open_ports(c);
	waiters_started(c);
	engine_serve(c->engine);
	if (c->remove)
		container_signal(c, SIGKILL);
	else if (c->engine->stopping)
		container_stop(c, -1);
}

/* The streams of the process: pipes, or a terminal that the starter makes and the monitor takes. */
static int open_streams(struct container *c, const char *console, int standard[3], int *ret_console, struct error **err)
{
	const struct docker_body *b = &c->record.body;
	struct stdio *s = container_stdio(c);
	struct spool *spool = spool_new(b->tty);
	if (!spool)
		return error_set_errno(err, errno, "cannot keep the container's output");
	stdio_set_spool(s, spool);
	container_commit(c);
	if (!b->tty)
		return stdio_open(s, b->open_stdin, standard);
	stdio_resize(s, b->rows, b->columns);
	*ret_console = terminal_listen(console, err);
	return MIN(*ret_console, 0);
}

static int hand_to_monitor(struct container *c, const struct strv *argv, const int standard[3], int console)
{
	int fds[HELD_COUNT];
	memset(fds, 0xff, sizeof fds);
	stdio_descriptors(c->stdio, fds);
	fds[HELD_USER] = c->namespaces.user;
	fds[HELD_NETWORK] = c->namespaces.network;
	fds[HELD_CONSOLE] = console;
	AUTOFREE char *note = container_note(c);
	int r = monitor_run(c->record.id, argv, standard, fds, note);
	c->held = c->starting = r == 0;
	return r;
}

/* The starter or crun, for the monitor to run. socket: for the terminal, or NULL. */
static void choose_runtime(const struct container *c, const char *directory, const char *socket, struct strv *argv)
{
	AUTOFREE char *log = path_join(directory, "log"), *pid_file = path_join(directory, "pid");
	const char *const by_starter[] = { "/proc/self/exe", "--start", directory, pid_file, log, socket };
	const char *const by_crun[] = { "run", "--detach", "--bundle", directory, "--pid-file", pid_file,
		socket ? "--console-socket" : c->record.id, socket, c->record.id, NULL };
	if (!c->by_starter)
		crun_words(c->engine, log, by_crun, argv);
	for (size_t i = 0; c->by_starter && i < ARRAY_SIZE(by_starter) && by_starter[i]; i++)
		strv_add(argv, by_starter[i]);
}

static int run(struct container *c, struct error **err)
{
	AUTOFREE char *directory = path_join(ENGINE_RUN, c->record.id), *socket = path_join(directory, "console");
	AUTO_STRV struct strv argv = { 0 };
	AUTO_FD int console = -1;
	int standard[3] = { -1, -1, -1 };
	c->run = container_now();
	int r = container_shares_join(c, err);
	if (r == 0)
		r = container_network_join(c, err);
	if (r == 0)
		endpoints_tell(c);
	if (r < 0 || (r = container_cgroup_make(c, err)) < 0 || (r = bundle_write(c, err)) < 0)
		return r;
	container_open_log(c);
	r = open_streams(c, socket, standard, &console, err);
	choose_runtime(c, directory, console >= 0 ? socket : NULL, &argv);
	/* The user may open /dev/stdout by its name. */
	for (int i = 0; i < 3; i++)
		if (standard[i] >= 0)
			(void)!fchown(standard[i], c->user, c->group);
	if (r == 0)
		r = hand_to_monitor(c, &argv, standard, console);
	for (int i = 0; i < 3; i++)
		fd_close(standard[i]);
	return r;
}

static void on_mounts(int code, const char *text, void *data)
{
	struct container *c = data;
	AUTO_ERROR struct error *err = NULL;
	c->preparing = 0;
	int r = code < 0            ? error_set(&err, -code, "%s", text) :
		c->remove           ? error_set(&err, ECANCELED, "container %s is being removed", c->record.id) :
		c->engine->stopping ? error_set(&err, EBUSY, "the machine stops") :
				      run(c, &err);
	if (r < 0)
		fail_start(c, r, err);
}

static void on_image(int code, const char *text, void *data)
{
	struct container *c = data;
	AUTO_ERROR struct error *err = NULL;
	c->waits_below = code == 0 && stack_must_wait(c);
	if (c->waits_below)
		return;
	int r = code < 0 ? error_set(&err, -code, "%s", text) : image_mount_root(c, &err);
	if (r < 0)
		on_mounts(r, error_text(err, r), c);
	else
		mounts_prepare(c, on_mounts);
}

void container_go_on(struct container *c)
{
	on_image(0, NULL, c);
}

void container_bound(struct container *c, int code, const struct error *err)
{
	if (code == 0) {
		image_want(c, on_image, c);
		return;
	}
	c->preparing = 0;
	fail_start(c, code, err);
}

void container_starter_gone(void *data)
{
	((struct container *)data)->starter = NULL;
}

void container_start(struct container *c, struct http_exchange *x)
{
	c->starter = x;
	c->again = 0;
	c->preparing = 1;
	if (x)
		http_exchange_on_closed(x, container_starter_gone, c);
	container_bind_ports(c);
}
