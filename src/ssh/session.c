/* SPDX-License-Identifier: Apache-2.0
 * A session channel: what the client asks for before it starts something (env, pty-req), the
 * request to the keeper, and then bytes both ways: frames of the session (http/session_frame.h) on
 * one side, the channel on the other.
 *
 * libssh's callbacks only note what has come. session_step() runs in each turn of the loop:
 *
 *   machine to client   frames are taken one after the other while the client's window is open and
 *                       libssh has nothing left to send. While they wait, no more is read from the
 *                       machine.
 *   client to machine   at most SESSION_STDIN_WINDOW unconsumed bytes are in flight. The rest stays
 *                       in libssh, whose window for the client closes then. Each read of libssh's
 *                       opens the whole window again, so a read takes all that libssh has.
 *
 * The last frame, EXIT or ERROR, comes behind all output. */
#include "ssh/session.h"

#include <errno.h>
#include <libssh/callbacks.h>
#include <signal.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/printable.h"
#include "cli/client.h"
#include "cli/machine/session_start.h"
#include "http/http.h"
#include "http/session_frame.h"
#include "ssh/agent_socket.h"
#include "ssh/request.h"
#include "ssh/signals.h"

enum {
	START_MS = 15 * 60 * 1000, /* a paused machine answers when it goes on */
	READ_SIZE = 128 * 1024,
	RECEIVED_FULL = 256 * 1024, /* nothing is read from the machine past this */
	RECEIVED_MAX = RECEIVED_FULL + READ_SIZE + 64 * 1024,
	SENDING_FULL = 256 * 1024, /* no input is taken past this */
	SENDING_MAX = SENDING_FULL + SESSION_STDIN_WINDOW + 64 * 1024,
	TEXT_MAX = 4096,
	DATA_MAX = 16 * 1024, /* of the client's in one frame */
};

struct session {
	struct connection *connection;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct ssh_request request;
	struct agent_socket *agent; /* NULL */
	struct http_call *call;
	int fd; /* to the machine */
	struct source *io;
	struct buffer received, sending;
	struct buffer input; /* stdin that was read from libssh at once */
	size_t shown;        /* bytes of the first frame that the client has */
	uint32_t window;     /* bytes of stdin that may be sent now */
	uint32_t held;       /* bytes of stdin that libssh holds back */
	int eof, eof_sent, closed, lost;
	int client_closed; /* the channel, which therefore may be released for good */
	char *failure;     /* why it has not started; NULL */
	struct session *next;
};

static void close_channel(struct session *s);

struct session *session_next(const struct session *s)
{
	return s->next;
}

/* ---- texts and statuses of holm itself ---- */

static void say(struct session *s, const char *text, size_t size)
{
	AUTOFREE char *clean = printable_copy(text, size, TEXT_MAX);
	AUTOFREE char *line = xasprintf("holm: %s%s", clean, s->request.tty ? "\r\n" : "\n");
	ssh_channel_write_stderr(s->channel, line, (uint32_t)strlen(line));
}

static void end_with_status(struct session *s, uint32_t status)
{
	const char *name = status & SESSION_EXIT_SIGNAL ? signal_name((int)(status & 0xff) - 128) : NULL;
	if (name)
		ssh_channel_request_send_exit_signal(s->channel, name, 0, "", "");
	else
		ssh_channel_request_send_exit_status(s->channel, (int)(status & 0xff));
	close_channel(s);
}

static void fail_with(struct session *s, const char *text)
{
	say(s, text, strlen(text));
	end_with_status(s, EXIT_HOLM);
}

/* ---- client to machine ---- */

/* How many bytes of input the machine takes now. */
static uint32_t input_room(const struct session *s)
{
	return s->fd >= 0 && s->sending.size < SENDING_FULL ? s->window : 0;
}

/* Sends what there is room for; how many bytes. */
static uint32_t send_input(struct session *s, const char *data, uint32_t size)
{
	uint32_t n = MIN(size, input_room(s));
	for (uint32_t at = 0; at < n; at += DATA_MAX)
		session_frame_append(&s->sending, SESSION_STDIN, data + at, MIN(n - at, (uint32_t)DATA_MAX));
	s->window -= n;
	return n;
}

/* Takes all that libssh holds. 0: it gives nothing. */
static int read_held(struct session *s)
{
	AUTOFREE char *data = xmalloc(s->held);
	int n = ssh_channel_read_nonblocking(s->channel, data, s->held, 0);
	if (n <= 0)
		return 0;
	s->held -= MIN(s->held, (uint32_t)n);
	buffer_append(&s->input, data, (size_t)n);
	return 1;
}

static void pull_input(struct session *s)
{
	while (input_room(s) && (s->input.size || s->held)) {
		if (!s->input.size && !read_held(s))
			return;
		buffer_consume(&s->input, send_input(s, s->input.data, (uint32_t)s->input.size));
	}
	if (s->eof && !s->held && !s->input.size && !s->eof_sent) {
		session_frame_append(&s->sending, SESSION_STDIN_END, NULL, 0);
		s->eof_sent = 1;
	}
}

static void flush(struct session *s)
{
	while (s->sending.size) {
		ssize_t n = buffer_send(&s->sending, s->fd);
		if (n == 0)
			return;
		if (n < 0) /* the machine's last words are still to be read */
			buffer_consume(&s->sending, s->sending.size);
	}
}

/* ---- machine to client ---- */

static uint32_t get_u32(const char *data)
{
	const unsigned char *p = (const unsigned char *)data;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Writes a part of an output frame, *budget bytes at most. 1: all of it is written; 0: not now. */
static int write_output(struct session *s, const struct session_frame *f, uint32_t *budget)
{
	while (s->shown < f->size) {
		uint32_t size = (uint32_t)MIN(f->size - s->shown, MIN(ssh_channel_window_size(s->channel), *budget));
		const char *data = f->data + s->shown;
		if (size == 0)
			return 0;
		int n = f->type == SESSION_STDERR ? ssh_channel_write_stderr(s->channel, data, size) :
						    ssh_channel_write(s->channel, data, size);
		if (n < 0)
			s->closed = 1;
		if (n <= 0) /* 0: during an exchange of keys */
			return 0;
		s->shown += (uint32_t)n;
		*budget -= (uint32_t)n;
	}
	s->shown = 0;
	return 1;
}

/* 1: the frame is dealt with, 0: not now, -1: the session is over. */
static int take_frame(struct session *s, const struct session_frame *f, uint32_t *budget)
{
	switch (f->type) {
	case SESSION_STDOUT:
	case SESSION_STDERR:
		return write_output(s, f, budget);
	case SESSION_WINDOW:
		s->window = (uint32_t)MIN((uint64_t)s->window + get_u32(f->data), SESSION_STDIN_WINDOW);
		return 1;
	case SESSION_NOTE:
		say(s, f->data, f->size);
		return 1;
	case SESSION_ERROR:
		say(s, f->data + 4, f->size - 4);
		end_with_status(s, get_u32(f->data) & 0xff);
		return -1;
	case SESSION_EXIT:
		end_with_status(s, get_u32(f->data));
		return -1;
	default:
		fail_with(s, "the machine sent something that is no session; holm inside and outside may be of "
			     "different versions");
		return -1;
	}
}

/* Takes frames as far as the client has room. 0, or -1: the session is over. */
static int take_frames(struct session *s)
{
	uint32_t budget = TURN_BYTES;
	struct session_frame f;
	int r = 0;
	while ((r = session_frame_next(&s->received, &f)) > 0) {
		if (f.type <= SESSION_STDERR && !connection_takes_output(s->connection) && budget == TURN_BYTES)
			return 0;
		r = take_frame(s, &f, &budget);
		if (r <= 0)
			return r;
		buffer_consume(&s->received, SESSION_HEADER_SIZE + f.size);
	}
	if (r == 0 && !s->lost)
		return 0;
	/* Without an exit status, as if the connection was cut: ssh(1) makes 255 of it. */
	AUTOFREE char *text = xasprintf("machine \"%s\" went away while the command ran", s->connection->machine);
	say(s, text, strlen(text));
	close_channel(s);
	return -1;
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct session *s = data;
	ssize_t n = -EAGAIN;
	if (s->received.size < RECEIVED_FULL && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		n = buffer_read(&s->received, fd, READ_SIZE);
	else if (events & (EPOLLHUP | EPOLLERR)) /* it is reported again and again */
		source_free(TAKE_PTR(s->io));
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		s->lost = 1;
		source_free(TAKE_PTR(s->io));
	}
	connection_wake(s->connection);
}

/* Waits for the machine: for what there is room for, and to send. */
static void watch(struct session *s)
{
	uint32_t events = (s->received.size < RECEIVED_FULL ? EPOLLIN : 0) | (s->sending.size ? EPOLLOUT : 0);
	if (s->lost)
		return;
	if (!events)
		source_free(TAKE_PTR(s->io));
	else if (s->io)
		source_set_events(s->io, events);
	else
		loop_add_io(s->connection->loop, s->fd, events, on_io, s, &s->io);
}

/* ---- the start ---- */

static void on_started(int fd, struct buffer *early, void *data)
{
	struct session *s = data;
	s->call = NULL;
	s->fd = fd;
	if (s->agent)
		agent_socket_hide(s->agent);
	s->window = SESSION_STDIN_WINDOW;
	if (buffer_append(&s->received, early->data, early->size) < 0)
		s->lost = 1;
	connection_wake(s->connection);
}

static void on_refused(int code, struct json_object *body, const struct error *err, void *data)
{
	struct session *s = data;
	s->call = NULL;
	s->failure = xstrdup(error_text(err, code));
	connection_wake(s->connection);
}

/* A connection to the machine, which is booted if it was stopped since. */
static int reach(const struct connection *c, struct error **err)
{
	int fd = client_connect(c->machine, err);
	if (fd != -ESRCH)
		return fd;
	int r = session_boot(c->machine, c->settings, 0, err);
	if (r == 0)
		r = client_connect(c->machine, err);
	return r == -ESRCH ? error_set(err, ESRCH, "machine \"%s\" stopped just now; try again", c->machine) : r;
}

static int ask_keeper(struct session *s, struct error **err)
{
	static const struct http_call_events events = {
		.done = on_refused,
		.upgrade = "holm-session",
		.upgraded = on_started,
	};
	const struct connection *c = s->connection;
	const char *agent = s->agent ? agent_socket_path(s->agent) : NULL;
	int fd = reach(c, err);
	return fd < 0 ? fd :
			http_call(c->loop, fd, "POST", "/v1/sessions",
			    ssh_request_json(&s->request, c->settings, c->user, agent), clock_deadline(START_MS),
			    &events, s, &s->call);
}

/* 1: the client hears that it starts, even if that fails then; 0: it is refused. */
static int start(struct session *s)
{
	AUTO_ERROR struct error *err = NULL, *why = NULL;
	if (s->call || s->fd >= 0 || s->failure)
		return 0;
	if (s->request.wants_agent && agent_socket_new(s->connection, &s->agent, &why) < 0)
		say(s, why->text, strlen(why->text));
	int r = ask_keeper(s, &err);
	if (r < 0)
		s->failure = xstrdup(error_text(err, r));
	return 1;
}

/* ---- requests of the client ---- */

/* libssh would rather have its callbacks take these; but they run in the middle of its own work. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static int ask_terminal(struct session *s, ssh_message m)
{
	const char *term = ssh_message_channel_request_pty_term(m);
	return ssh_request_set_terminal(&s->request, term ? term : "", ssh_message_channel_request_pty_width(m),
		   ssh_message_channel_request_pty_height(m)) == 0;
}

static int ask_size(struct session *s, ssh_message m)
{
	struct ssh_request *q = &s->request;
	ssh_request_set_size(q, ssh_message_channel_request_pty_width(m), ssh_message_channel_request_pty_height(m));
	const unsigned char size[4] = { q->rows >> 8, q->rows & 0xff, q->columns >> 8, q->columns & 0xff };
	if (s->call || s->fd >= 0)
		session_frame_append(&s->sending, SESSION_RESIZE, size, sizeof size);
	return 1;
}

#pragma GCC diagnostic pop

static int ask_env(struct session *s, ssh_message m)
{
	const char *name = ssh_message_channel_request_env_name(m), *value = ssh_message_channel_request_env_value(m);
	return name && value && ssh_request_set_env(&s->request, name, value) == 0;
}

static int ask_command(struct session *s, ssh_message m)
{
	const char *command = ssh_message_channel_request_command(m);
	if (s->call || s->fd >= 0 || !command)
		return 0;
	free(s->request.command);
	s->request.command = xstrdup(command);
	return start(s);
}

static int ask_shell(struct session *s, ssh_message m)
{
	return start(s);
}

static int ask_subsystem(struct session *s, ssh_message m)
{
	const char *name = ssh_message_channel_request_subsystem(m);
	if (s->call || s->fd >= 0 || !streq(name, "sftp") || s->request.tty)
		return 0;
	s->request.sftp = 1;
	return start(s);
}

static const struct {
	int type;
	int (*ask)(struct session *s, ssh_message m);
} requests[] = {
	{ SSH_CHANNEL_REQUEST_PTY, ask_terminal },
	{ SSH_CHANNEL_REQUEST_WINDOW_CHANGE, ask_size },
	{ SSH_CHANNEL_REQUEST_ENV, ask_env },
	{ SSH_CHANNEL_REQUEST_EXEC, ask_command },
	{ SSH_CHANNEL_REQUEST_SHELL, ask_shell },
	{ SSH_CHANNEL_REQUEST_SUBSYSTEM, ask_subsystem },
};

int session_request(struct session *s, ssh_message m)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests) && !s->closed; i++)
		if (requests[i].type == ssh_message_subtype(m))
			return requests[i].ask(s, m);
	return 0;
}

/* ---- libssh's callbacks ---- */

static void on_signal(ssh_session ssh, ssh_channel channel, const char *name, void *data)
{
	struct session *s = data;
	const unsigned char number = (unsigned char)signal_number(name);
	if (number && (s->call || s->fd >= 0))
		session_frame_append(&s->sending, SESSION_SIGNAL, &number, 1);
	connection_wake(s->connection);
}

static void on_agent(ssh_session ssh, ssh_channel channel, void *data)
{
	((struct session *)data)->request.wants_agent = 1;
}

/* Returns how much is taken: libssh holds the rest. */
static int on_data(ssh_session ssh, ssh_channel channel, void *bytes, uint32_t size, int is_stderr, void *data)
{
	struct session *s = data;
	if (is_stderr || s->closed)
		return (int)size;
	uint32_t n = s->input.size ? 0 : send_input(s, bytes, size);
	s->held = size - n;
	if (s->held > HELD_MAX)
		connection_fail(s->connection, "the ssh client sends more than a channel's window");
	connection_wake(s->connection);
	return (int)n;
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *data)
{
	struct session *s = data;
	s->eof = 1;
	connection_wake(s->connection);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *data)
{
	struct session *s = data;
	s->closed = s->client_closed = 1;
	connection_wake(s->connection);
}

/* ---- beginning, turn and end ---- */

void session_new(struct connection *c, ssh_channel channel)
{
	struct session *s = xnew(struct session);
	*s = (struct session){ .connection = c, .channel = channel, .fd = -1, .next = c->sessions };
	s->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = s,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
		.channel_signal_function = on_signal,
		.channel_auth_agent_req_function = on_agent,
	};
	ssh_callbacks_init(&s->callbacks);
	ssh_set_channel_callbacks(channel, &s->callbacks);
	ssh_request_init(&s->request);
	buffer_init(&s->received, RECEIVED_MAX);
	buffer_init(&s->sending, SENDING_MAX);
	buffer_init(&s->input, HELD_MAX);
	c->sessions = s;
	c->channels++;
}

struct session *session_find(const struct connection *c, ssh_channel channel)
{
	struct session *s = c->sessions;
	while (s && s->channel != channel)
		s = s->next;
	return s;
}

void session_step(struct session *s)
{
	if (s->failure && !s->closed) {
		fail_with(s, s->failure);
		s->closed = 1;
	}
	if (s->fd >= 0 && !s->closed && take_frames(s) < 0)
		s->closed = 1;
	if (s->closed) {
		session_free(s);
		return;
	}
	if (s->fd < 0)
		return;
	pull_input(s);
	flush(s);
	watch(s);
}

static void close_channel(struct session *s)
{
	ssh_channel_send_eof(s->channel);
	ssh_channel_close(s->channel);
}

void session_free(struct session *s)
{
	for (struct session **at = &s->connection->sessions; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	http_call_cancel(s->call);
	agent_socket_free(s->agent);
	source_free(s->io);
	fd_close(s->fd);
	ssh_remove_channel_callbacks(s->channel, &s->callbacks);
	connection_leave_channel(s->connection, s->channel, s->client_closed);
	buffer_done(&s->received);
	buffer_done(&s->sending);
	buffer_done(&s->input);
	ssh_request_done(&s->request);
	free(s->failure);
	free(s);
}
