/* SPDX-License-Identifier: Apache-2.0
 * Process 1 of the engine's place. See monitor.h.
 *
 * Problem. Containers must go on when the engine is killed: they need a parent that takes their
 * exit statuses, and their pipes must stay open. The agent is not the one: it would take
 * descriptors and numbers of processes from something as hostile as root in the machine, and the
 * engine would have to be in the agent's pid namespace.
 *
 * Idea. Process 1 of the engine's own pid namespace is its reaper in any case. So it is a program
 * that does hardly anything, with the engine's own rights, and the engine is its child. All that is
 * mounted in the place stays, too. The monitor runs crun, so that there is no moment at which a
 * container that runs is unknown.
 *
 * The monitor never waits for the engine: what has changed is sent when the socket takes it, and
 * says how a container is, not what happened. So an engine that reads late misses nothing.
 *
 * The engine is started again at once, then after times that double up to RESTART_MAX_MS, until one
 * has lived for LIVED_MS. If none does and nothing runs, the monitor ends, so that clients get an
 * error. It ends with the agent's socket, of which in a VM the reaper has a copy, and everything
 * with it. */
#include "agent/engine/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/oom_score.h"
#include "agent/engine/engine.h"
#include "agent/engine/packet.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/spawn.h"
#include "docker/name.h"

enum { LIVED_MS = 1000, RESTART_MS = 20, RESTART_MAX_MS = 2000, FAILURES_MAX = 8, CHILDREN_MAX = 1 << 20 };

struct monitor {
	struct loop *loop;
	char *go;
	int socket;
	struct source *io, *child, *timer; /* of the engine */
	uint64_t started_ms;
	unsigned failures;
	int complete; /* the first round is over */
	struct held_container *containers;
	size_t count;
};

struct held_container {
	struct held_container *next;
	struct monitor *monitor;
	char *id, *note;
	int fds[HELD_COUNT];
	unsigned fresh; /* bits of those that the engine does not have */
	int changed;
	enum monitored_state state;
	pid_t pid;
	int status;
	int64_t finished;
	struct source *child; /* crun, then the container's process */
};

/* ---- containers ---- */

static struct held_container *find(const struct monitor *m, const char *id)
{
	for (struct held_container *c = m->containers; c; c = c->next)
		if (streq(c->id, id))
			return c;
	return NULL;
}

static void forget(struct held_container *c)
{
	for (struct held_container **at = &c->monitor->containers; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	c->monitor->count--;
	source_free(c->child);
	for (size_t i = 0; i < HELD_COUNT; i++)
		fd_close(c->fds[i]);
	free(c->id);
	free(c->note);
	free(c);
}

static int send_state(struct held_container *c)
{
	struct fd_pass passed = { 0 };
	int fds[HELD_COUNT];
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; i < HELD_COUNT; i++)
		fds[i] = c->fresh & 1U << i ? c->fds[i] : -1;
	json_add_string(o, "container", c->id);
	json_add_i64(o, "state", c->state);
	json_add_i64(o, "pid", c->pid);
	json_add_i64(o, "status", c->status);
	json_add_i64(o, "finished", c->finished);
	json_add_string(o, "note", c->note);
	json_add_u64(o, "held", packet_pack(fds, HELD_COUNT, &passed));
	return packet_send(c->monitor->socket, o, &passed, MSG_DONTWAIT);
}

static int send_complete(struct monitor *m)
{
	struct json_object *o = json_object_new_object();
	json_add_bool(o, "complete", 1);
	return packet_send(m->socket, o, NULL, MSG_DONTWAIT);
}

/* Sends what the socket takes. */
static void flush(struct monitor *m)
{
	int r = 0;
	if (!m->io)
		return;
	for (struct held_container *c = m->containers; c && r == 0; c = c->next) {
		if (!c->changed || (r = send_state(c)) < 0)
			continue;
		c->changed = 0;
		c->fresh = 0;
	}
	if (r == 0 && !m->complete)
		m->complete = (r = send_complete(m)) == 0;
	source_set_events(m->io, r == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void change(struct held_container *c, enum monitored_state state)
{
	c->state = state;
	c->changed = 1;
	flush(c->monitor);
}

/* ---- their processes ---- */

static pid_t read_pid(const char *id)
{
	AUTOFREE char *run = path_join(ENGINE_RUN, id), *path = path_join(run, "pid"), *text = NULL;
	uint32_t pid = 0;
	if (path_read_file(path, 32, &text, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_u32(text, &pid) < 0 ? 0 : (pid_t)pid;
}

static void on_process(struct source *s, pid_t pid, int status, void *data)
{
	struct held_container *c = data;
	source_free(TAKE_PTR(c->child));
	c->status = spawn_exit_status(status);
	c->finished = clock_realtime_ns();
	change(c, MONITORED_ENDED);
}

/* crun has ended, so the terminal's master waits in the socket, or never comes. */
static void take_terminal(struct held_container *c)
{
	size_t count = 0;
	AUTO_FD int console = TAKE_FD(c->fds[HELD_CONSOLE]);
	AUTO_FD int connection = console < 0 ? -1 : accept4(console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	c->fresh &= ~(1U << HELD_CONSOLE);
	if (connection >= 0 && c->fds[HELD_OUTPUT] < 0 && fd_receive(connection, &c->fds[HELD_OUTPUT], 1, &count) == 0)
		c->fresh |= 1U << HELD_OUTPUT;
}

static int follow(struct held_container *c, pid_t pid)
{
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd < 0)
		return -ESRCH;
	c->fds[HELD_PROCESS] = fd;
	c->fresh |= 1U << HELD_PROCESS;
	c->pid = pid;
	return loop_add_child(c->monitor->loop, pid, on_process, c, &c->child);
}

/* Kills what a failed start has left: a child of this process by then, which nobody waits for. */
static void kill_left(const struct monitor *m, pid_t pid)
{
	siginfo_t info;
	if (pid > 0 && !loop_watches_child(m->loop, pid) &&
	    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		kill(pid, SIGKILL);
}

static void on_crun(struct source *s, pid_t pid, int status, void *data)
{
	struct held_container *c = data;
	source_free(TAKE_PTR(c->child));
	take_terminal(c);
	const pid_t container = read_pid(c->id);
	int r = status == 0 ? follow(c, container) : -ECHILD;
	if (r < 0)
		kill_left(c->monitor, container);
	c->status = spawn_exit_status(status);
	change(c, r < 0 ? MONITORED_FAILED : MONITORED_RUNNING);
	kill(getpid(), SIGCHLD); /* reap() waited for this */
}

/* A container ends only when all that was in it is reaped. Its process is known by its number only
 * when crun has ended. */
static void reap(struct source *s, int number, void *data)
{
	const struct monitor *m = data;
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv pids = { 0 };
	for (const struct held_container *c = m->containers; c; c = c->next)
		if (c->state == MONITORED_STARTING)
			return;
	if (path_read_file("/proc/thread-self/children", CHILDREN_MAX, &text, NULL) < 0)
		return;
	strv_split(&pids, text, " ");
	for (size_t i = 0; i < pids.count; i++) {
		uint32_t pid;
		if (parse_u32(pids.items[i], &pid) == 0 && !loop_watches_child(m->loop, (pid_t)pid))
			waitpid((pid_t)pid, NULL, WNOHANG);
	}
}

/* ---- requests of the engine ---- */

static int give_up_score(void *data)
{
	oom_score_give_up();
	return 0;
}

/* The standard streams are closed on return: a copy would keep the container's readers waiting. */
static int run_crun(struct held_container *c, struct json_object *o, const int standard[3])
{
	AUTO_STRV struct strv argv = { 0 };
	AUTO_ERROR struct error *err = NULL;
	struct spawn_fd fds[3];
	size_t count = 0;
	pid_t pid = 0;
	for (int i = 0; i < 3; i++)
		if (standard[i] >= 0)
			fds[count++] = (struct spawn_fd){ .from = standard[i], .to = i };
	int r = json_get_strv(o, "argv", &argv, &err);
	if (r == 0 && (argv.count == 0 || argv.count > MONITOR_WORDS_MAX))
		r = -EINVAL;
	const struct spawn_options options = { .argv = strv_argv(&argv),
		.fds = fds,
		.fd_count = count,
		.in_child = give_up_score };
	if (r == 0)
		r = spawn(&options, &pid, &err);
	if (r == 0)
		r = loop_add_child(c->monitor->loop, pid, on_crun, c, &c->child);
	if (r < 0)
		log_error("container %.12s: %s", c->id, error_text(err, r));
	return r;
}

static void handle_run(struct monitor *m, struct packet *p, const char *id)
{
	const char *note = NULL;
	uint64_t standard = 0, held = 0;
	int streams[3] = { -1, -1, -1 };
	json_get_u64(p->object, "standard", &standard, NULL);
	json_get_u64(p->object, "held", &held, NULL);
	json_get_string(p->object, "note", &note, NULL);
	if (!docker_is_id(id) || find(m, id) || m->count >= MONITORED_MAX || (note && strlen(note) > NOTE_MAX)) {
		log_error("container %.12s: the monitor cannot take it", id);
		return;
	}
	struct held_container *c = xnew(struct held_container);
	*c = (struct held_container){ .next = m->containers, .monitor = m, .id = xstrdup(id), .note = xstrdup(note) };
	m->containers = c;
	m->count++;
	int r = packet_unpack(p, standard, streams, ARRAY_SIZE(streams));
	int second = packet_unpack(p, held, c->fds, HELD_COUNT);
	if (r == 0)
		r = second < 0 ? second : run_crun(c, p->object, streams);
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		fd_close(streams[i]);
	if (r < 0)
		change(c, MONITORED_FAILED);
}

static void handle_close(struct held_container *c, struct json_object *o)
{
	uint64_t which = HELD_COUNT;
	json_get_u64(o, "descriptor", &which, NULL);
	if (which >= HELD_COUNT)
		return;
	fd_close(TAKE_FD(c->fds[which]));
	c->fresh &= ~(1U << which);
}

static void handle(struct monitor *m, struct packet *p)
{
	const char *id = NULL;
	struct held_container *c = NULL;
	if (json_get_string(p->object, "run", &id, NULL) == 0) {
		handle_run(m, p, id);
	} else if (json_get_string(p->object, "close", &id, NULL) == 0) {
		if ((c = find(m, id)))
			handle_close(c, p->object);
	} else if (json_get_string(p->object, "forget", &id, NULL) == 0) {
		c = find(m, id);
		if (c && (c->state == MONITORED_ENDED || c->state == MONITORED_FAILED))
			forget(c);
	}
}

/* ---- the engine ---- */

/* 1: there may be more. */
static int read_one(struct monitor *m)
{
	AUTO_PACKET struct packet p;
	int r = packet_receive(m->socket, &p);
	if (r == 1)
		handle(m, &p);
	return r == 1 || r == -EBADMSG;
}

static void on_engine_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct monitor *m = data;
	if (events & (EPOLLIN | EPOLLHUP) && !read_one(m) && events & EPOLLHUP) {
		source_free(TAKE_PTR(m->io));
		return;
	}
	flush(m);
}

static void start_engine(struct monitor *m);

static void on_restart_time(struct source *s, void *data)
{
	struct monitor *m = data;
	source_free(TAKE_PTR(m->timer));
	start_engine(m);
}

static void restart_engine(struct monitor *m)
{
	m->failures = clock_now_ms() - m->started_ms >= LIVED_MS ? 0 : m->failures + 1;
	if (m->failures > FAILURES_MAX && !m->containers) {
		loop_exit(m->loop, 1);
		return;
	}
	uint64_t wait = m->failures ? MIN((uint64_t)RESTART_MS << MIN(m->failures, 10U), (uint64_t)RESTART_MAX_MS) : 0;
	if (loop_add_timer(m->loop, clock_deadline(wait), on_restart_time, m, &m->timer) < 0)
		loop_exit(m->loop, 1);
}

/* Requests from before its end count. */
static void on_engine(struct source *s, pid_t pid, int status, void *data)
{
	struct monitor *m = data;
	source_free(TAKE_PTR(m->child));
	while (read_one(m))
		;
	source_free(TAKE_PTR(m->io));
	fd_close(TAKE_FD(m->socket));
	log_warning("the engine has ended with status %d; another one is started", spawn_exit_status(status));
	restart_engine(m);
}

static int spawn_engine(struct monitor *m, int theirs, pid_t *ret, struct error **err)
{
	char *const argv[] = { (char *)"/proc/self/exe", (char *)"--engine", m->go, NULL };
	const struct spawn_fd fds[] = { { ENGINE_CHANNEL, ENGINE_CHANNEL }, { ENGINE_CONNECTIONS, ENGINE_CONNECTIONS },
		{ theirs, ENGINE_MONITOR } };
	const struct spawn_options o = { .argv = argv, .fds = fds, .fd_count = ARRAY_SIZE(fds), .inherit_standard = 1 };
	return spawn(&o, ret, err);
}

static void start_engine(struct monitor *m)
{
	AUTO_ERROR struct error *err = NULL;
	int ends[2];
	pid_t pid = 0;
	int r = fd_socketpair(SOCK_SEQPACKET, ends);
	m->started_ms = clock_now_ms();
	m->complete = 0;
	for (struct held_container *c = m->containers; c; c = c->next) {
		c->changed = 1;
		c->fresh = ~0U;
	}
	if (r == 0) {
		m->socket = ends[0];
		r = spawn_engine(m, ends[1], &pid, &err);
		fd_close(ends[1]);
	}
	if (r == 0)
		r = loop_add_io(m->loop, m->socket, EPOLLIN, on_engine_io, m, &m->io);
	if (r == 0)
		r = loop_add_child(m->loop, pid, on_engine, m, &m->child);
	if (r < 0) {
		log_error("cannot start the engine: %s", error_text(err, r));
		loop_exit(m->loop, 1);
		return;
	}
	flush(m);
}

static void on_agent_gone(struct source *s, int fd, uint32_t events, void *data)
{
	loop_exit(((struct monitor *)data)->loop, 0);
}

int monitor_main(char *go)
{
	static struct monitor monitor = { .socket = -1 };
	struct monitor *m = &monitor;
	engine_open_log("holm-monitor");
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	engine_raise_limits();
	m->go = go;
	int r = loop_new(&m->loop);
	if (r == 0)
		r = loop_add_signal(m->loop, SIGCHLD, reap, m, NULL);
	if (r == 0)
		r = loop_add_io(m->loop, ENGINE_CHANNEL, EPOLLRDHUP, on_agent_gone, m, NULL);
	if (r < 0) {
		log_error("cannot watch the engine: %s", strerror(-r));
		return 1;
	}
	start_engine(m);
	return loop_run(m->loop);
}
