/* SPDX-License-Identifier: Apache-2.0
 * The client's side of a session: one poll(2) loop over the connection, stdin, stdout, stderr and a
 * signalfd. poll and not epoll, because any of the three standard descriptors may be a file, which
 * epoll refuses and poll reports as ready.
 *
 * Flow control. stdin: as many bytes as the agent's window allows are in flight; WINDOW frames open
 * it again; so a command that does not read never blocks SIGNAL and RESIZE behind its input. stdout
 * and stderr: what a slow reader has not taken is kept up to OUTPUT_KEPT, then the connection is
 * not read until it is. */
#include "cli/machine/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/terminal.h"
#include "cli/client.h"
#include "cli/machine/pause_watch.h"
#include "cli/output.h"
#include "cli/standard.h"
#include "http/http.h"
#include "http/session_frame.h"

enum {
	REQUEST_MS = 60 * 1000,
	OUTPUT_KEPT = 256 * 1024,
	READ_SIZE = 64 * 1024,
	BUFFER_MAX = 1024 * 1024,
	INTERRUPT = 3, /* Ctrl-C, as a terminal sends it */
};

struct session {
	const char *machine;
	int socket, signals;
	int tty;         /* the command has a terminal */
	int input_open;  /* stdin has not ended */
	uint32_t window; /* bytes of stdin that may be sent now */
	int status;      /* -1: not ended */
	int connection_open;
	struct buffer sending, received;
	struct standard_output outputs[2]; /* stdout, stderr */
	struct terminal_state terminal;
	struct pause_watch pauses;
	int early_signal; /* sent before it was known whether the machine is paused; 0: none */
};

/* ---- a machine that stands still ---- */

/* The command cannot take the signal, so this end of the session does. */
static void end_paused(struct session *s, int number)
{
	if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
		s->status = 128 + number;
}

static void show_note(struct session *s, const char *text, size_t size)
{
	int raw = s->terminal.fd >= 0;
	terminal_restore(&s->terminal);
	output_note("%.*s", (int)size, text);
	if (raw)
		terminal_raw(&s->terminal, STDIN_FILENO);
}

/* Returns the line about a change; owned. */
static char *describe_pause(const struct pause_watch *w)
{
	return w->why ? xasprintf("machine \"%s\" is paused: %s", w->machine, w->why) :
			xasprintf("machine \"%s\" goes on", w->machine);
}

static void take_pauses(struct session *s)
{
	if (!pause_watch_read(&s->pauses))
		return;
	AUTOFREE char *text = describe_pause(&s->pauses);
	show_note(s, text, strlen(text));
	if (s->pauses.why && s->early_signal)
		end_paused(s, s->early_signal);
	s->early_signal = 0;
}

/* ---- to the agent ---- */

static void send_window_size(struct session *s)
{
	unsigned rows, columns;
	if (terminal_size(STDOUT_FILENO, &rows, &columns) < 0 && terminal_size(STDIN_FILENO, &rows, &columns) < 0)
		return;
	const unsigned char size[4] = { rows >> 8, rows, columns >> 8, columns };
	session_frame_append(&s->sending, SESSION_RESIZE, size, sizeof size);
}

static void read_input(struct session *s)
{
	char data[READ_SIZE];
	ssize_t n = read(STDIN_FILENO, data, MIN(sizeof data, s->window));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && s->pauses.why && s->tty && memchr(data, INTERRUPT, (size_t)n))
		end_paused(s, SIGINT);
	if (n > 0) {
		s->window -= (uint32_t)n;
		session_frame_append(&s->sending, SESSION_STDIN, data, (size_t)n);
		return;
	}
	/* The end, or a stdin that cannot be read (a directory, a terminal that hung up): the
	 * command sees an end. */
	s->input_open = 0;
	session_frame_append(&s->sending, SESSION_STDIN_END, NULL, 0);
}

static void read_signal(struct session *s)
{
	struct signalfd_siginfo info;
	if (read(s->signals, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGWINCH) {
		if (s->tty)
			send_window_size(s);
		return;
	}
	if (s->pauses.why)
		end_paused(s, (int)info.ssi_signo);
	else if (s->pauses.fd < 0)
		s->early_signal = (int)info.ssi_signo;
	const unsigned char number = (unsigned char)info.ssi_signo;
	session_frame_append(&s->sending, SESSION_SIGNAL, &number, 1);
}

static void send_frames(struct session *s)
{
	ssize_t n = send(s->socket, s->sending.data, s->sending.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		buffer_consume(&s->sending, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		/* the other side is gone; what it said last is still to be read */
		buffer_consume(&s->sending, s->sending.size);
}

/* ---- from the agent ---- */

static uint32_t get_u32(const char *data)
{
	const unsigned char *p = (const unsigned char *)data;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void take_output(struct session *s, const struct session_frame *f)
{
	struct standard_output *o = &s->outputs[f->type == SESSION_STDERR];
	if (!o->broken)
		buffer_append(&o->pending, f->data, f->size);
}

static void take_window(struct session *s, const struct session_frame *f)
{
	s->window = MIN((uint64_t)s->window + get_u32(f->data), SESSION_STDIN_WINDOW);
}

static void take_exit(struct session *s, const struct session_frame *f)
{
	s->status = (int)(get_u32(f->data) & 0xff);
}

static void take_error(struct session *s, const struct session_frame *f)
{
	terminal_restore(&s->terminal);
	output_error("%.*s", (int)f->size - 4, f->data + 4);
	s->status = (int)(get_u32(f->data) & 0xff);
}

static void take_note(struct session *s, const struct session_frame *f)
{
	show_note(s, f->data, f->size);
}

static const struct {
	enum session_frame_type type;
	void (*take)(struct session *s, const struct session_frame *f);
} takers[] = {
	{ SESSION_STDOUT, take_output },
	{ SESSION_STDERR, take_output },
	{ SESSION_WINDOW, take_window },
	{ SESSION_EXIT, take_exit },
	{ SESSION_ERROR, take_error },
	{ SESSION_NOTE, take_note },
};

/* 0, or -EBADMSG for something that is no frame from an agent. */
static int take_frames(struct session *s)
{
	struct session_frame f;
	int r = 0;
	while (s->status < 0 && (r = session_frame_next(&s->received, &f)) > 0) {
		size_t i = 0;
		while (i < ARRAY_SIZE(takers) && takers[i].type != f.type)
			i++;
		if (i == ARRAY_SIZE(takers))
			return -EBADMSG;
		takers[i].take(s, &f);
		buffer_consume(&s->received, SESSION_HEADER_SIZE + f.size);
	}
	return MIN(r, 0);
}

static int receive(struct session *s)
{
	ssize_t n = buffer_read(&s->received, s->socket, READ_SIZE);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		s->connection_open = 0;
	return take_frames(s);
}

/* ---- the loop ---- */

enum { AT_SOCKET, AT_SIGNALS, AT_STDIN, AT_PAUSES, AT_OUTPUTS, AT_COUNT = AT_OUTPUTS + 2 };

static void wanted(const struct session *s, struct pollfd *p)
{
	size_t kept = s->outputs[0].pending.size + s->outputs[1].pending.size;
	int reads = s->status < 0 && s->connection_open && kept < OUTPUT_KEPT;
	int input = s->input_open && s->window > 0 && s->sending.size < OUTPUT_KEPT && s->status < 0;
	short events = (reads ? POLLIN : 0) | (s->sending.size ? POLLOUT : 0);
	p[AT_SOCKET] = (struct pollfd){ .fd = events ? s->socket : -1, .events = events };
	p[AT_SIGNALS] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	p[AT_STDIN] = (struct pollfd){ .fd = input ? STDIN_FILENO : -1, .events = POLLIN };
	p[AT_PAUSES] = (struct pollfd){ .fd = s->pauses.fd, .events = POLLIN };
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		p[AT_OUTPUTS + i] =
		    (struct pollfd){ .fd = s->outputs[i].pending.size ? s->outputs[i].fd : -1, .events = POLLOUT };
}

static int is_done(const struct session *s)
{
	if (s->outputs[0].broken)
		return 1;
	return (s->status >= 0 || !s->connection_open) && !s->outputs[0].pending.size && !s->outputs[1].pending.size;
}

static int step(struct session *s)
{
	struct pollfd p[AT_COUNT];
	wanted(s, p);
	if (poll(p, AT_COUNT, clock_left_ms(s->pauses.begin_ms)) < 0)
		return errno == EINTR ? 0 : -errno;
	int begins = pause_watch_step(&s->pauses);
	if (p[AT_SIGNALS].revents)
		read_signal(s);
	if (p[AT_STDIN].revents)
		read_input(s);
	if (begins || p[AT_PAUSES].revents)
		take_pauses(s);
	if (p[AT_SOCKET].revents & (POLLIN | POLLHUP | POLLERR)) {
		int r = receive(s);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		if (p[AT_OUTPUTS + i].revents)
			standard_output_write(&s->outputs[i]);
	/* Not only where poll says so: mostly there is room, and a round is saved. */
	if (s->sending.size)
		send_frames(s);
	return 0;
}

static int run_loop(struct session *s, struct error **err)
{
	int r = take_frames(s);
	while (r == 0 && !is_done(s))
		r = step(s);
	if (r < 0)
		return error_set(err, -r,
		    "machine \"%s\" sent something that is no session; holm inside and outside may be of different "
		    "versions",
		    s->machine);
	if (s->outputs[0].broken)
		return s->outputs[0].broken;
	if (s->status < 0)
		return error_set(err, ECONNRESET, "machine \"%s\" went away while the command ran", s->machine);
	return s->status;
}

/* ---- beginning and end ---- */

/* Waits for the answer to the request until the deadline, and shows when the machine is paused
 * meanwhile: that has no deadline, and after it there is another one. */
static void await_answer(struct pause_watch *w, int fd, uint64_t *deadline)
{
	for (struct pollfd p[2] = { { 0 } }; !p[0].revents && (w->why || clock_now_ms() < *deadline);) {
		p[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
		if (poll(p, ARRAY_SIZE(p), clock_left_ms(MIN(w->why ? UINT64_MAX : *deadline, w->begin_ms))) < 0)
			p[0].revents = p[1].revents = 0;
		int begins = pause_watch_step(w);
		if (!(begins || p[1].revents) || !pause_watch_read(w))
			continue;
		AUTOFREE char *text = describe_pause(w);
		output_note("%s", text);
		*deadline = clock_deadline(REQUEST_MS);
	}
}

/* The command reads these bytes before stdin. */
static void send_first(struct session *s, const char *first)
{
	size_t size = MIN(strlen(first), (size_t)s->window);
	session_frame_append(&s->sending, SESSION_STDIN, first, size);
	s->window -= (uint32_t)size;
}

/* Takes the watch. */
static int session_talk(struct pause_watch *pauses, struct http_response *response, int tty, int input,
    const char *first, struct error **err)
{
	struct session s = {
		.machine = pauses->machine,
		.pauses = *pauses,
		.socket = response->fd,
		.tty = tty,
		.input_open = input,
		.window = SESSION_STDIN_WINDOW,
		.status = -1,
		.connection_open = 1,
		.terminal = TERMINAL_STATE_NONE,
	};
	sigset_t old;
	int r = fd_set_nonblocking(s.socket, 1);
	*pauses = (struct pause_watch){ .fd = -1, .begin_ms = UINT64_MAX };
	s.signals = standard_signals(&old);
	if (s.signals < 0 || r < 0)
		return error_set_errno(err, errno, "preparing a session");
	signal(SIGPIPE, SIG_IGN);
	buffer_init(&s.sending, BUFFER_MAX);
	buffer_init(&s.received, BUFFER_MAX);
	standard_output_init(&s.outputs[0], STDOUT_FILENO, BUFFER_MAX);
	standard_output_init(&s.outputs[1], STDERR_FILENO, BUFFER_MAX);
	buffer_append(&s.received, response->early.data, response->early.size);
	if (first)
		send_first(&s, first);
	if (tty && isatty(STDIN_FILENO))
		terminal_raw(&s.terminal, STDIN_FILENO);
	if (tty)
		send_window_size(&s); /* it may have changed while the machine booted */
	r = run_loop(&s, err);
	terminal_restore(&s.terminal);
	sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(s.signals);
	pause_watch_done(&s.pauses);
	buffer_done(&s.sending);
	buffer_done(&s.received);
	for (size_t i = 0; i < ARRAY_SIZE(s.outputs); i++)
		buffer_done(&s.outputs[i].pending);
	return r;
}

int session_run(const char *machine, struct json_object *request, const char *first, struct error **err)
{
	AUTO_HTTP_RESPONSE struct http_response response = { .fd = -1 };
	int tty = 0, input = 0, detached = 0;
	json_get_bool(request, "tty", &tty, NULL);
	json_get_bool(request, "stdin", &input, NULL);
	json_get_bool(request, "detach", &detached, NULL);
	AUTO_FD int fd = client_connect(machine, err);
	if (fd == -ESRCH)
		return error_set(err, ESRCH, "machine \"%s\" stopped just now; try again", machine);
	if (fd < 0)
		return fd;
	CLEANUP(pause_watch_done) struct pause_watch pauses;
	pause_watch_init(&pauses, machine);
	uint64_t deadline = clock_deadline(REQUEST_MS);
	int r = http_send_request(fd, "POST", "/v1/sessions", detached ? NULL : "holm-session", request, deadline, err);
	if (r == 0) {
		await_answer(&pauses, fd, &deadline);
		r = http_answer(fd, deadline, &response, err);
	}
	if (r < 0)
		return r;
	/* A detached session was answered when it had started. */
	return detached || response.head.status != 101 ? 0 : session_talk(&pauses, &response, tty, input, first, err);
}
