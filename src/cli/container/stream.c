/* SPDX-License-Identifier: Apache-2.0
 * One poll(2) loop over the connection, the waiter, stdin, stdout, stderr and a signalfd. poll and
 * not epoll, as any standard descriptor may be a file.
 *
 * Flow control: stdin is read as long as little of it waits to be sent; the connection is read as
 * long as little of its output waits to be written. The end of stdin becomes a half close, which is
 * the end of the container's input; its output goes on.
 *
 * Keys that detach are looked for in stdin of a terminal only. A beginning of them is held back
 * until the next byte tells. */
#include "cli/container/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/terminal.h"
#include "cli/output.h"
#include "cli/standard.h"
#include "docker/frame.h"

enum {
	OUTPUT_KEPT = 256 * 1024,
	INPUT_KEPT = 128 * 1024,
	READ_SIZE = 64 * 1024,
	BUFFER_MAX = 1024 * 1024,
	STATUS_MS = 5000,
	REST_MS = 10 * 1000, /* for the rest of the output once the container has ended */
	INTERRUPTS_MAX = 3,
};

struct stream {
	const struct stream_plan *plan;
	int socket, signals; /* socket: -1 once it has ended */
	int input_open;      /* stdin is read */
	int half_closed;
	int waiting, status; /* waiting: the container's status has not come yet */
	int end;             /* enum stream_end, or -1: goes on */
	unsigned interrupts;
	size_t matched; /* of the keys */
	struct buffer sending;
	struct standard_output outputs[2];
	unsigned char header[DOCKER_FRAME_HEADER];
	size_t header_size;
	uint32_t left; /* of a frame */
	struct standard_output *to;
	struct terminal_state terminal;
};

/* ---- the other side's terminal and signals ---- */

static void send_size(const struct api *a, const char *target, unsigned rows, unsigned columns)
{
	AUTOFREE char *h = xasprintf("%u", rows), *w = xasprintf("%u", columns),
		      *whole = api_target(target, "h", h, "w", w, NULL);
	/* A container that has just ended takes no size; its status says so. */
	api_call(a, "POST", whole, NULL, NULL, NULL);
}

void stream_send_size(const struct api *a, const char *target, int redraw)
{
	unsigned rows, columns;
	if (terminal_size(STDOUT_FILENO, &rows, &columns) < 0 && terminal_size(STDIN_FILENO, &rows, &columns) < 0)
		return;
	if (redraw)
		send_size(a, target, rows + 1, columns);
	send_size(a, target, rows, columns);
}

static void leave(struct stream *s, int status)
{
	s->end = STREAM_LEFT;
	s->status = status;
}

static void pass_signal(struct stream *s, int number)
{
	AUTOFREE char *text = xasprintf("%d", number),
		      *target = s->plan->kill ? api_target(s->plan->kill, "signal", text, NULL) : NULL;
	int interrupt = number == SIGINT || number == SIGTERM;
	if (!target || (interrupt && ++s->interrupts >= INTERRUPTS_MAX)) {
		leave(s, 128 + number);
		return;
	}
	/* A container that has ended takes no signals. */
	api_call(s->plan->api, "POST", target, NULL, NULL, NULL);
}

static void take_signal(struct stream *s)
{
	struct signalfd_siginfo info;
	if (read(s->signals, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo != SIGWINCH)
		pass_signal(s, (int)info.ssi_signo);
	else if (s->plan->tty && s->plan->resize)
		stream_send_size(s->plan->api, s->plan->resize, 0);
}

/* ---- stdin ---- */

static void send_byte(struct stream *s, unsigned char byte)
{
	const struct stream_plan *p = s->plan;
	if (!p->tty || !p->key_count) {
		buffer_append(&s->sending, &byte, 1);
		return;
	}
	if (byte == p->keys[s->matched]) {
		if (++s->matched == p->key_count)
			s->end = STREAM_DETACHED;
		return;
	}
	buffer_append(&s->sending, p->keys, s->matched);
	s->matched = byte == p->keys[0];
	if (!s->matched)
		buffer_append(&s->sending, &byte, 1);
	else if (p->key_count == 1)
		s->end = STREAM_DETACHED;
}

static void take_input(struct stream *s)
{
	unsigned char data[READ_SIZE];
	ssize_t n = read(STDIN_FILENO, data, sizeof data);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		/* The end, or a stdin that cannot be read: the container sees an end. */
		s->input_open = 0;
	} else if (s->plan->tty) {
		for (ssize_t i = 0; i < n && s->end < 0; i++)
			send_byte(s, data[i]);
	} else {
		buffer_append(&s->sending, data, (size_t)n);
	}
}

static void send_input(struct stream *s)
{
	if (s->sending.size) {
		ssize_t n = buffer_send(&s->sending, s->socket);
		if (n < 0) /* nobody reads it; the output is still to come */
			buffer_consume(&s->sending, s->sending.size);
	}
	if (!s->sending.size && !s->input_open && !s->half_closed) {
		shutdown(s->socket, SHUT_WR);
		s->half_closed = 1;
	}
}

/* ---- output ---- */

static void add_output(struct standard_output *o, const char *data, size_t size)
{
	if (!o->broken)
		buffer_append(&o->pending, data, size);
}

static uint32_t frame_size(const unsigned char *h)
{
	return (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
}

/* Takes bytes of frames. 0, or -EBADMSG. */
static int take_frames(struct stream *s, const char *data, size_t size)
{
	while (size) {
		size_t n = s->left ? MIN((size_t)s->left, size) : MIN(sizeof s->header - s->header_size, size);
		if (s->left) {
			add_output(s->to, data, n);
			s->left -= (uint32_t)n;
		} else {
			memcpy(s->header + s->header_size, data, n);
			s->header_size += n;
		}
		data += n;
		size -= n;
		if (s->header_size < sizeof s->header)
			continue;
		if (s->header[0] != DOCKER_STDOUT && s->header[0] != DOCKER_STDERR)
			return -EBADMSG;
		s->header_size = 0;
		s->to = &s->outputs[s->header[0] == DOCKER_STDERR];
		s->left = frame_size(s->header);
	}
	return 0;
}

static int take_output(struct stream *s, const char *data, size_t size)
{
	if (!s->plan->tty)
		return take_frames(s, data, size);
	add_output(&s->outputs[0], data, size);
	return 0;
}

static int receive(struct stream *s)
{
	char data[READ_SIZE];
	ssize_t n = recv(s->socket, data, sizeof data, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		return take_output(s, data, (size_t)n);
	s->socket = -1;
	s->input_open = 0;
	return 0;
}

/* ---- the status ---- */

static int take_status(struct stream *s, struct error **err)
{
	AUTO_JSON struct json_object *answer = NULL;
	struct json_object *error = NULL;
	uint64_t status = 0;
	const char *text = NULL;
	int r = http_response_line(&s->plan->waiter->response, clock_deadline(STATUS_MS), &answer, NULL);
	if (r <= 0 || json_get_u64(answer, "StatusCode", &status, NULL) < 0)
		return error_set(err, ECONNRESET, "machine \"%s\" went away while the container ran",
		    s->plan->api->machine);
	s->waiting = 0;
	s->status = (int)(status & 0xff);
	if (json_get_object(answer, "Error", &error, NULL) == 0)
		json_get_string(error, "Message", &text, NULL);
	return text && *text ? error_set(err, EIO, "%s", text) : 0;
}

/* ---- the loop ---- */

enum { AT_SOCKET, AT_SIGNALS, AT_STDIN, AT_WAITER, AT_OUTPUTS, AT_COUNT = AT_OUTPUTS + 2 };

static void wanted(const struct stream *s, struct pollfd *p)
{
	size_t kept = s->outputs[0].pending.size + s->outputs[1].pending.size;
	short events = (kept < OUTPUT_KEPT ? POLLIN : 0) | (s->sending.size ? POLLOUT : 0);
	int input = s->input_open && s->sending.size < INPUT_KEPT;
	p[AT_SOCKET] = (struct pollfd){ .fd = events ? s->socket : -1, .events = events };
	p[AT_SIGNALS] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	p[AT_STDIN] = (struct pollfd){ .fd = input ? STDIN_FILENO : -1, .events = POLLIN };
	p[AT_WAITER] = (struct pollfd){ .fd = s->waiting ? s->plan->waiter->fd : -1, .events = POLLIN };
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		p[AT_OUTPUTS + i] =
		    (struct pollfd){ .fd = s->outputs[i].pending.size ? s->outputs[i].fd : -1, .events = POLLOUT };
}

static int step(struct stream *s, struct error **err)
{
	struct pollfd p[AT_COUNT];
	wanted(s, p);
	int rest = !s->waiting && s->plan->waiter && p[AT_SOCKET].fd >= 0;
	int n = poll(p, AT_COUNT, rest ? REST_MS : -1), r = 0;
	if (n < 0)
		return errno == EINTR ? 0 : error_set_errno(err, errno, "poll");
	if (n == 0)
		s->socket = -1;
	if (p[AT_SIGNALS].revents)
		take_signal(s);
	if (p[AT_STDIN].revents)
		take_input(s);
	if (p[AT_SOCKET].revents & (POLLIN | POLLHUP | POLLERR) && receive(s) < 0)
		return error_set(err, EBADMSG, "the engine of machine \"%s\" sent something that is no stream",
		    s->plan->api->machine);
	if (p[AT_WAITER].revents && s->end < 0)
		r = take_status(s, err);
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		if (p[AT_OUTPUTS + i].revents)
			standard_output_write(&s->outputs[i]);
	if (s->socket >= 0)
		send_input(s);
	return r;
}

static int is_over(const struct stream *s)
{
	return !s->waiting && s->socket < 0 && !s->outputs[0].pending.size && !s->outputs[1].pending.size;
}

static int run_loop(struct stream *s, struct error **err)
{
	const struct stream_plan *p = s->plan;
	int r = p->waiter && p->waiter->response.early.size ? take_status(s, err) : 0;
	if (r == 0 && p->connection) {
		const struct buffer *early = &p->connection->response.early;
		r = take_output(s, early->data, early->size);
		if (r < 0)
			return error_set(err, -r, "the engine of machine \"%s\" sent something that is no stream",
			    p->api->machine);
	}
	if (r == 0 && s->socket >= 0)
		send_input(s);
	while (r == 0 && s->end < 0 && !is_over(s)) {
		r = step(s, err);
		if (s->outputs[0].broken)
			leave(s, s->outputs[0].broken);
	}
	return r < 0 ? r : s->end < 0 ? STREAM_ENDED : s->end;
}

/* ---- beginning and end ---- */

static void show_leaving(const struct stream *s, int r)
{
	if (r == STREAM_DETACHED)
		output_line("%s", ""); /* behind the prompt that is left there */
	if (r == STREAM_LEFT && s->interrupts >= INTERRUPTS_MAX)
		output_note("the container takes no notice of signals and goes on; holm kill ends it");
}

static int prepare(struct stream *s, struct error **err)
{
	const struct stream_plan *p = s->plan;
	int r = s->socket >= 0 ? fd_set_nonblocking(s->socket, 1) : 0;
	if (r < 0 || s->signals < 0)
		return error_set_errno(err, errno, "preparing a stream");
	signal(SIGPIPE, SIG_IGN);
	if (p->tty && p->in && isatty(STDIN_FILENO))
		terminal_raw(&s->terminal, STDIN_FILENO);
	return p->begin ? p->begin(p->data, err) : 0;
}

int stream_run(const struct stream_plan *plan, int *ret_status, struct error **err)
{
	struct stream s = {
		.plan = plan,
		.socket = plan->connection ? plan->connection->fd : -1,
		.input_open = plan->connection && plan->in,
		.waiting = plan->waiter != NULL,
		.end = -1,
		.terminal = TERMINAL_STATE_NONE,
	};
	sigset_t old;
	s.signals = standard_signals(&old);
	buffer_init(&s.sending, BUFFER_MAX);
	standard_output_init(&s.outputs[0], STDOUT_FILENO, BUFFER_MAX);
	standard_output_init(&s.outputs[1], STDERR_FILENO, BUFFER_MAX);
	int r = prepare(&s, err);
	if (r == 0)
		r = run_loop(&s, err);
	terminal_restore(&s.terminal);
	show_leaving(&s, r);
	sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(s.signals);
	buffer_done(&s.sending);
	for (size_t i = 0; i < ARRAY_SIZE(s.outputs); i++)
		buffer_done(&s.outputs[i].pending);
	*ret_status = s.status;
	return r;
}

int stream_take_keys(struct stream_plan *plan, const struct options *o, struct error **err)
{
	const char *text = options_string(o, "detach-keys");
	return docker_keys_parse(text ? text : DOCKER_KEYS_DEFAULT, plan->keys, &plan->key_count, err);
}

int stream_check_terminal(int tty, int in, struct error **err)
{
	return tty && in && !isatty(STDIN_FILENO) ?
		   error_set(err, ENOTTY, "--tty: stdin is no terminal; leave --tty or --interactive out") :
		   0;
}
