/* SPDX-License-Identifier: Apache-2.0
 * A session, from request to exit status: POST /v1/sessions, two forks (child.c), messages
 * of the child until it executes the command, bytes (io.c), the end.
 *
 * A session ends when its process has ended, its output is delivered and the last frame is
 * written. If the client has gone away, a session ends with its process. A background process that
 * keeps the terminal open delays the end only if the terminal is stopped, for SESSION_DRAIN_MS.
 *
 * A session has a cgroup of its own: a leaf beside what the init manages, inside the machine's
 * cgroup namespace. When a session ends, all leaves without a process are removed. */
#include "agent/session/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/platform.h"
#include "agent/session/child.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "http/session_frame.h"

#define SESSIONS_CGROUP AGENT_CGROUP "/holm-sessions"

enum {
	SESSION_OUT_MAX = SESSION_OUT_FULL + 4 * SESSION_FRAME_MAX,
	SESSIONS_MAX = 4096,
	STATUS_FAILED = 125,
	BUS_COMES_MS = 90 * 1000,
	BUS_WAIT_MS = 20 * 1000
};

/* Removes the groups of sessions that left nothing behind; those in use refuse. */
static void sweep_cgroups(void)
{
	DIR *d = opendir(SESSIONS_CGROUP);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}

/* A leaf beside what the init manages, inside of the machine's cgroup namespace. -1: none, the
 * session stays in the agent's. */
static int make_cgroup(uint64_t number)
{
	AUTOFREE char *path = xasprintf(SESSIONS_CGROUP "/%llu", (unsigned long long)number);
	mkdir(SESSIONS_CGROUP, 0755);
	mkdir(path, 0755);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void session_free(struct session *s)
{
	struct source *sources[] = { s->stream_source, s->channel_source, s->helper_source, s->child_source,
		s->input_source, s->eof_timer, s->drain_timer, s->outputs[0].source, s->outputs[1].source };
	for (struct session **at = &s->agent->sessions; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		source_free(sources[i]);
	session_agent_free(s->ssh);
	if (s->input != s->outputs[0].fd)
		fd_close(s->input);
	int fds[] = { s->stream, s->channel, s->outputs[0].fd, s->outputs[1].fd, s->child_ends[0], s->child_ends[1],
		s->child_ends[2] };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
	buffer_done(&s->in);
	buffer_done(&s->out);
	buffer_done(&s->input_buffer);
	session_request_free(s->request);
	free(s->error);
	free(s);
}

void session_signal(struct session *s, int number)
{
	int from_terminal =
	    number == SIGINT || number == SIGQUIT || number == SIGHUP || number == SIGCONT || number == SIGTSTP;
	if (number <= 0 || number >= NSIG)
		return;
	if (s->pid <= 0 || !s->inside_pid) {
		s->early_signals |= 1ULL << (number - 1);
		return;
	}
	/* A terminal's signal goes to the foreground process group, or, without one, to the
	 * command's. */
	if (from_terminal && s->request->tty && s->outputs[0].fd >= 0 && ioctl(s->outputs[0].fd, TIOCSIG, number) == 0)
		return;
	kill(from_terminal ? -s->pid : s->pid, number);
}

/* The process is there and leads its group: it gets what came too early. */
static void deliver_early(struct session *s)
{
	uint64_t early = s->early_signals;
	if (s->pid <= 0 || !s->inside_pid)
		return;
	s->early_signals = 0;
	for (int i = 1; i < NSIG; i++)
		if (early & 1ULL << (i - 1))
			session_signal(s, i);
}

/* Puts the last frame out once nothing else can come. */
static void append_end(struct session *s)
{
	if (s->error) {
		AUTO_BUFFER struct buffer b;
		unsigned char status[4] = { 0, 0, 0, (unsigned char)s->error_status };
		buffer_init(&b, SESSION_FRAME_MAX);
		buffer_append(&b, status, sizeof status);
		buffer_append(&b, s->error, MIN(strlen(s->error), (size_t)4096));
		session_frame_append(&s->out, SESSION_ERROR, b.data, b.size);
	} else {
		session_frame_append_u32(&s->out, SESSION_EXIT, (uint32_t)s->status);
	}
	s->stream_ended = 1;
	if (s->stream_source)
		source_set_events(s->stream_source, EPOLLOUT);
}

void session_finish_if_done(struct session *s)
{
	int child_over = s->exited || (s->error && !s->pid && s->channel < 0);
	if (s->helper || !child_over || s->outputs[0].fd >= 0 || s->outputs[1].fd >= 0)
		return;
	if (!s->stream_ended && s->stream >= 0)
		append_end(s);
	if (s->stream >= 0 && s->out.size)
		return;
	session_free(s);
	sweep_cgroups();
}

static void on_stream(struct source *source, int fd, uint32_t events, void *data)
{
	struct session *s = data;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !s->stream_ended) {
		ssize_t n = buffer_read(&s->in, fd, SESSION_READ);
		if (n > 0)
			session_io_frames(s);
		else if (n != -EAGAIN && n != -EINTR)
			session_io_stream_lost(s);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		session_io_stream_lost(s);
	}
	session_io_update(s);
}

static void on_child(struct source *source, pid_t pid, int status, void *data)
{
	struct session *s = data;
	source_free(TAKE_PTR(s->child_source));
	s->pid = 0;
	s->exited = 1;
	s->status = spawn_exit_status(status) | (WIFSIGNALED(status) ? SESSION_EXIT_SIGNAL : 0);
	/* Its last words may still be in the channel; its end is handled there. */
	if (s->channel < 0)
		session_io_drain(s);
}

static void on_helper(struct source *source, pid_t pid, int status, void *data)
{
	struct session *s = data;
	source_free(TAKE_PTR(s->helper_source));
	s->helper = 0;
	session_io_update(s);
}

static void take_terminal(struct session *s, int fd)
{
	struct stat st;
	/* It was opened inside: make sure that it is a terminal and not something that blocks. */
	if (s->input >= 0 || !s->request->tty || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    fd_set_nonblocking(fd, 1) < 0) {
		fd_close(fd);
		return;
	}
	s->input = s->outputs[0].fd = fd;
}

static void on_message(struct session *s, struct json_object *o, int fd)
{
	const char *text = NULL;
	int64_t n = 0;
	if (json_get_string(o, "fd", &text, NULL) >= 0 && fd >= 0) {
		if (streq(text, "pty"))
			take_terminal(s, fd);
		else
			session_agent_start(s, fd);
		return;
	}
	fd_close(fd);
	if (json_get_i64(o, "pid", &n, NULL) >= 0 && n > 0 && !s->pid && !s->child_source) {
		s->pid = (pid_t)n;
		if (loop_add_child(s->agent->loop, s->pid, on_child, s, &s->child_source) < 0)
			log_error("cannot watch a session's process");
		deliver_early(s);
	} else if (json_get_string(o, "note", &text, NULL) >= 0 && s->stream >= 0) {
		session_frame_append(&s->out, SESSION_NOTE, text, MIN(strlen(text), (size_t)4096));
	} else if (json_get_i64(o, "started", &n, NULL) >= 0) {
		uint64_t uid = 0;
		s->inside_pid = n;
		json_get_u64(o, "uid", &uid, NULL);
		s->uid = (uint32_t)uid;
		deliver_early(s);
	} else if (json_get_string(o, "error", &text, NULL) >= 0 && !s->error) {
		s->error = xstrdup(text);
		s->error_status =
		    json_get_i64(o, "status", &n, NULL) >= 0 && n >= 125 && n <= 127 ? (int)n : STATUS_FAILED;
	}
}

/* Answers who asked for a detached session. */
static void answer_detached(struct session *s)
{
	AUTO_ERROR struct error *err = NULL;
	struct http_exchange *x = TAKE_PTR(s->exchange);
	if (!x)
		return;
	if (s->error) {
		int code = s->error_status == EXIT_NOT_FOUND      ? ENOENT :
			   s->error_status == EXIT_NOT_EXECUTABLE ? EACCES :
								    EIO;
		error_set(&err, code, "%s", s->error);
		http_respond_error(x, code, err);
		return;
	}
	struct json_object *o = json_object_new_object();
	json_add_i64(o, "pid", s->inside_pid);
	http_respond_json(x, 200, o);
}

/* The channel has ended: the command runs, or never will. */
static void on_channel_end(struct session *s)
{
	source_free(TAKE_PTR(s->channel_source));
	fd_close(TAKE_FD(s->channel));
	if (!s->error && !s->inside_pid) {
		s->error = xstrdup("the session could not be started: the machine may be going down");
		s->error_status = STATUS_FAILED;
	}
	for (int i = 0; i < 3; i++)
		fd_close(TAKE_FD(s->child_ends[i]));
	answer_detached(s);
	s->running = !s->error;
	if (s->running && session_io_start(s) < 0)
		log_error("cannot watch a session's output");
	if (s->error) {
		session_io_close_input(s);
		for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
			fd_close(TAKE_FD(s->outputs[i].fd));
	}
	if (s->exited)
		session_io_drain(s);
	else
		session_io_update(s);
}

static void on_channel(struct source *source, int fd, uint32_t events, void *data)
{
	struct session *s = data;
	AUTO_JSON struct json_object *o = NULL;
	int passed = -1;
	int r = channel_receive(fd, &o, &passed);
	if (r == 1)
		on_message(s, o, passed);
	else if (r != -EAGAIN)
		on_channel_end(s);
}

static void on_exchange_closed(void *data)
{
	((struct session *)data)->exchange = NULL;
}

/* The pipes of a session without a terminal: our ends go into s, the child's into child_ends. */
static int make_pipes(struct session *s)
{
	int ends[2], r;
	for (int i = 0; i < 3; i++) {
		if (s->request->detach || s->request->tty || (i == 0 && !s->request->use_stdin))
			continue;
		if ((r = fd_pipe(ends)) < 0)
			return r;
		int ours = i == 0 ? ends[1] : ends[0];
		s->child_ends[i] = i == 0 ? ends[0] : ends[1];
		fd_set_nonblocking(ours, 1);
		if (i == 0)
			s->input = ours;
		else
			s->outputs[i - 1].fd = ours;
	}
	return 0;
}

/* An image may name a bus that never comes, so sessions wait for it in the first moments of an
 * init only, and each not for long. */
static uint64_t bus_deadline(const struct agent *a)
{
	uint64_t last = a->init_started_ms + BUS_COMES_MS;
	return a->init_kind == INIT_SYSTEMD ? MIN(last, clock_deadline(BUS_WAIT_MS)) : 0;
}

static int launch(struct session *s)
{
	struct loop *l = s->agent->loop;
	int r = make_pipes(s);
	if (r < 0)
		return r;
	AUTO_FD int cgroup = s->machine >= 0 ? make_cgroup(s->number) : -1;
	struct session_sftp sftp;
	struct session_plan plan = {
		.request = s->request,
		.boot = s->agent->boot,
		.machine = s->machine,
		.cgroup = cgroup,
		.number = s->number,
		.bus_deadline_ms = bus_deadline(s->agent),
		.standard = { s->child_ends[0], s->child_ends[1], s->child_ends[2] },
		.sftp = s->request->sftp && session_sftp_open(&sftp) == 0 ? &sftp : NULL,
	};
	if (s->machine >= 0) {
		plan.join = s->agent->platform->joined;
		plan.confined = (plan.join & CLONE_NEWUSER) != 0;
	}
	if ((r = session_fork(&plan, &s->helper, &s->channel)) < 0)
		return r;
	fd_set_nonblocking(s->channel, 1);
	if ((r = loop_add_io(l, s->channel, EPOLLIN, on_channel, s, &s->channel_source)) < 0 ||
	    (r = loop_add_child(l, s->helper, on_helper, s, &s->helper_source)) < 0)
		return r;
	return s->stream >= 0 ? loop_add_io(l, s->stream, EPOLLIN, on_stream, s, &s->stream_source) : 0;
}

int session_start(struct agent *a, struct session_request *q, int machine, int stream, struct buffer *early,
    struct http_exchange *x)
{
	struct session *s = xnew(struct session);
	*s = (struct session){
		.agent = a,
		.number = ++a->session_counter,
		.request = q,
		.exchange = x,
		.machine = machine,
		.stream = stream,
		.channel = -1,
		.input = -1,
		.outputs = { { .fd = -1, .left = -1 }, { .fd = -1, .left = -1 } },
		.child_ends = { -1, -1, -1 },
	};
	buffer_init(&s->in, SESSION_STDIN_WINDOW + 2 * (SESSION_FRAME_MAX + SESSION_HEADER_SIZE));
	buffer_init(&s->out, SESSION_OUT_MAX);
	buffer_init(&s->input_buffer, SESSION_STDIN_WINDOW + 1);
	s->next = a->sessions;
	a->sessions = s;
	if (x)
		http_exchange_on_closed(x, on_exchange_closed, s);
	int r = early && early->size ? buffer_append(&s->in, early->data, early->size) : 0;
	if (early)
		buffer_done(early);
	if (r >= 0)
		r = launch(s);
	if (r < 0) {
		session_free(s);
		return r;
	}
	session_io_frames(s);
	return 0;
}

static size_t count_sessions(const struct agent *a)
{
	size_t n = 0;
	for (const struct session *s = a->sessions; s; s = s->next)
		n++;
	return n;
}

static int check(const struct agent *a, struct error **err)
{
	if (a->phase == PHASE_STOPPING)
		return error_set(err, EBUSY, "the machine is stopping");
	if (a->phase != PHASE_RUNNING || !a->ready_session || a->init_pidfd < 0)
		return error_set(err, EAGAIN, "the machine is not ready for sessions");
	if (count_sessions(a) >= SESSIONS_MAX)
		return error_set(err, EBUSY, "the machine has %d sessions, which is the most", SESSIONS_MAX);
	return 0;
}

void session_handle(struct http_exchange *x, void *agent)
{
	struct agent *a = agent;
	AUTO_ERROR struct error *err = NULL;
	CLEANUP(session_request_freep) struct session_request *q = NULL;
	AUTO_BUFFER struct buffer early = { 0 };
	struct json_object *body = http_exchange_json(x, &err);
	int stream = -1;
	int r = body ? check(a, &err) : -EINVAL;
	if (r >= 0)
		r = session_request_parse(body, &q, &err);
	if (r < 0) {
		http_respond_error(x, r, err);
		return;
	}
	int detach = q->detach;
	if (!detach && http_upgrade(x, "holm-session", &stream, &early) < 0)
		return;
	r = session_start(a, TAKE_PTR(q), a->init_pidfd, stream, detach ? NULL : &early, detach ? x : NULL);
	if (r < 0) {
		log_error("cannot start a session: %s", strerror(-r));
		if (detach)
			http_respond_error(x, r, NULL);
	}
}
