/* SPDX-License-Identifier: Apache-2.0
 * A session's bytes. From the client come frames: stdin is buffered no further than the window that
 * the client keeps to, and each byte that the command has taken is told back, so that a signal or a
 * new window size is never stuck behind stdin. To the client go frames made of what stdout and
 * stderr gave; while the client is slow nothing is read from them.
 *
 * When the command has ended, what lies in its pipes at that moment is still delivered, and no
 * more: a process that it left behind may hold them open for ever. A terminal is read up to a mark
 * that the agent writes from its other side then: bytes pass a terminal in order. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "agent/session/session.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/session_frame.h"

enum { EOF_FIRST_MS = 20, EOF_MOST_MS = 1000 };

static int is_terminal(const struct session *s)
{
	return s->request->tty && !s->request->detach;
}

static void output_append(struct session *s, const struct session_output *o, const char *data, size_t size)
{
	enum session_frame_type type = o == &s->outputs[0] ? SESSION_STDOUT : SESSION_STDERR;
	if (s->stream >= 0 && size > 0)
		session_frame_append(&s->out, type, data, size);
}

static void output_close(struct session *s, struct session_output *o)
{
	output_append(s, o, s->mark.held, s->mark.held_size);
	s->mark.held_size = 0;
	source_free(TAKE_PTR(o->source));
	if (o->fd != s->input)
		fd_close(o->fd);
	o->fd = -1;
}

void session_io_close_input(struct session *s)
{
	source_free(TAKE_PTR(s->eof_timer));
	source_free(TAKE_PTR(s->input_source));
	if (s->input != s->outputs[0].fd)
		fd_close(s->input);
	s->input = -1;
}

/* Hands on bytes of a terminal up to the mark. Returns whether the mark is among them. */
static int output_take(struct session *s, struct session_output *o, const char *data, size_t size)
{
	char both[SESSION_READ + SESSION_MARK];
	struct session_mark *m = &s->mark;
	if (!m->size) {
		output_append(s, o, data, size);
		return 0;
	}
	memcpy(both, m->held, m->held_size);
	memcpy(both + m->held_size, data, size);
	size += m->held_size;
	const char *mark = memmem(both, size, m->digits, m->size);
	size_t shown = mark ? (size_t)(mark - both) : size - MIN(size, m->size - 1);
	m->held_size = mark ? 0 : size - shown;
	memcpy(m->held, both + shown, m->held_size);
	output_append(s, o, both, shown);
	return mark != NULL;
}

static void output_read(struct session *s, struct session_output *o)
{
	char data[SESSION_READ];
	while (o->fd >= 0 && s->out.size < SESSION_OUT_FULL) {
		size_t want =
		    o->left >= 0 && !is_terminal(s) ? (size_t)MIN(o->left, (int64_t)sizeof data) : sizeof data;
		ssize_t n = want ? read(o->fd, data, want) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && o->source && (o->left < 0 || is_terminal(s)))
			return;
		if (n <= 0 || output_take(s, o, data, (size_t)n)) {
			output_close(s, o);
			return;
		}
		if (o->left >= 0)
			o->left -= MIN(o->left, (int64_t)n);
	}
}

/* A terminal has no end. A reader of lines takes the end-of-file character (termios(3), VEOF) for
 * one. */
static int append_eof(struct session *s)
{
	struct termios t;
	unsigned char character = s->input >= 0 && tcgetattr(s->input, &t) == 0 ? t.c_cc[VEOF] : 4;
	return buffer_append(&s->input_buffer, &character, 1);
}

static void on_eof_timer(struct source *source, void *data)
{
	struct session *s = data;
	if (s->input >= 0 && s->input_buffer.size == 0)
		append_eof(s);
	s->eof_wait_ms = MIN(s->eof_wait_ms * 2, (uint64_t)EOF_MOST_MS);
	source_set_timer(source, clock_deadline(s->eof_wait_ms));
	session_io_update(s);
}

/* One character ends one read. It is lost when the reader changes the terminal's modes meanwhile,
 * as shells do before each line, and it only completes a line that has begun. No event announces
 * the next read, so the agent sends the character again, at growing intervals, while the command
 * runs. */
static void repeat_eof(struct session *s)
{
	if (s->eof_timer || !s->running || s->exited || s->input < 0 || s->input_buffer.size)
		return;
	s->eof_wait_ms = EOF_FIRST_MS;
	loop_add_timer(s->agent->loop, clock_deadline(s->eof_wait_ms), on_eof_timer, s, &s->eof_timer);
}

static void input_write(struct session *s)
{
	size_t taken = 0;
	while (s->input_buffer.size) {
		ssize_t n = s->input >= 0 ? buffer_write(&s->input_buffer, s->input) : (ssize_t)s->input_buffer.size;
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			break;
		if (s->input < 0)
			buffer_consume(&s->input_buffer, s->input_buffer.size);
		if (n < 0) {
			/* The command does not read any more; the rest is dropped, and counted as
			 * taken. */
			session_io_close_input(s);
			continue;
		}
		taken += (size_t)n;
	}
	if (taken && s->stream >= 0 && !s->stream_ended)
		session_frame_append_u32(&s->out, SESSION_WINDOW, (uint32_t)taken);
	if (s->input_ended && s->input_buffer.size == 0 && s->input >= 0) {
		if (is_terminal(s))
			repeat_eof(s);
		else
			session_io_close_input(s);
	}
}

void session_io_stream_lost(struct session *s)
{
	source_free(TAKE_PTR(s->stream_source));
	fd_close(TAKE_FD(s->stream));
	buffer_consume(&s->out, s->out.size);
	s->stream_ended = 1;
	s->input_ended = 1;
	session_agent_free(TAKE_PTR(s->ssh));
	/* As if a terminal's line were cut: programs that were told to go on (nohup) do. */
	session_signal(s, SIGHUP);
	session_signal(s, SIGCONT);
	session_io_close_input(s);
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		if (s->outputs[i].fd >= 0)
			output_close(s, &s->outputs[i]);
}

static void stream_write(struct session *s)
{
	while (s->stream >= 0 && s->out.size) {
		ssize_t n = send(s->stream, s->out.data, s->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			session_io_stream_lost(s);
			return;
		}
		buffer_consume(&s->out, (size_t)n);
	}
}

static void frame_resize(struct session *s, const struct session_frame *f)
{
	const unsigned char *p = (const unsigned char *)f->data;
	struct winsize size = {
		.ws_row = (unsigned short)(p[0] << 8 | p[1]),
		.ws_col = (unsigned short)(p[2] << 8 | p[3]),
	};
	s->request->rows = size.ws_row;
	s->request->columns = size.ws_col;
	if (is_terminal(s) && s->outputs[0].fd >= 0)
		ioctl(s->outputs[0].fd, TIOCSWINSZ, &size);
}

/* 0, or -EBADMSG when the client does not keep the protocol. */
static int handle_frame(struct session *s, const struct session_frame *f)
{
	switch (f->type) {
	case SESSION_STDIN:
		if (s->input_ended)
			return -EBADMSG;
		return buffer_append(&s->input_buffer, f->data, f->size) < 0 ? -EBADMSG : 0;
	case SESSION_STDIN_END:
		s->input_ended = 1;
		return is_terminal(s) && append_eof(s) < 0 ? -EBADMSG : 0;
	case SESSION_RESIZE:
		frame_resize(s, f);
		return 0;
	case SESSION_SIGNAL:
		session_signal(s, (unsigned char)f->data[0]);
		return 0;
	default:
		return -EBADMSG;
	}
}

void session_io_frames(struct session *s)
{
	struct session_frame f;
	int r = 0;
	while (s->stream >= 0 && (r = session_frame_next(&s->in, &f)) > 0) {
		r = handle_frame(s, &f);
		if (r < 0)
			break;
		buffer_consume(&s->in, SESSION_HEADER_SIZE + f.size);
	}
	if (r < 0 && s->stream >= 0)
		session_io_stream_lost(s);
}

/* Moves the rest of outputs that will raise no further event, because they have no writer any more
 * or the process has ended; and writes to the client. */
static void output_rest(struct session *s)
{
	for (int more = 1; more;) {
		more = 0;
		for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++) {
			struct session_output *o = &s->outputs[i];
			if (o->fd >= 0 && (s->exited || !o->source))
				output_read(s, o);
			more |= o->fd >= 0 && !o->source;
		}
		stream_write(s);
		more &= s->out.size < SESSION_OUT_FULL;
	}
}

void session_io_update(struct session *s)
{
	if (s->running) {
		input_write(s);
		output_rest(s);
	} else {
		stream_write(s);
	}
	if (s->stream_source)
		source_set_events(s->stream_source, (s->stream_ended ? 0 : EPOLLIN) | (s->out.size ? EPOLLOUT : 0));
	uint32_t more = s->out.size < SESSION_OUT_FULL ? EPOLLIN : 0;
	uint32_t input = s->input >= 0 && s->input_buffer.size ? EPOLLOUT : 0;
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		if (s->outputs[i].source)
			source_set_events(s->outputs[i].source, more | (s->outputs[i].fd == s->input ? input : 0));
	if (s->input_source)
		source_set_events(s->input_source, input);
	session_finish_if_done(s);
}

static void on_output(struct source *source, int fd, uint32_t events, void *data)
{
	struct session *s = data;
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++) {
		struct session_output *o = &s->outputs[i];
		if (o->fd != fd || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			continue;
		output_read(s, o);
		/* A hang-up is reported again and again, whatever is asked for, while a slow client
		 * leaves no room for the rest. */
		if (o->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)))
			source_free(TAKE_PTR(o->source));
	}
	session_io_update(s);
}

static void on_input(struct source *source, int fd, uint32_t events, void *data)
{
	struct session *s = data;
	/* The reading end of the pipe is closed: nobody wants stdin. */
	if (events & EPOLLERR)
		session_io_close_input(s);
	session_io_update(s);
}

int session_io_start(struct session *s)
{
	struct loop *l = s->agent->loop;
	int r = 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(s->outputs); i++)
		if (s->outputs[i].fd >= 0)
			r = loop_add_io(l, s->outputs[i].fd, EPOLLIN, on_output, s, &s->outputs[i].source);
	if (r >= 0 && s->input >= 0 && s->input != s->outputs[0].fd)
		r = loop_add_io(l, s->input, 0, on_input, s, &s->input_source);
	if (r >= 0 && is_terminal(s) && s->outputs[0].fd >= 0) {
		struct winsize size = { .ws_row = s->request->rows, .ws_col = s->request->columns };
		ioctl(s->outputs[0].fd, TIOCSWINSZ, &size);
	}
	return r;
}

static void on_drain_timer(struct source *source, void *data)
{
	struct session *s = data;
	/* A slow client still gets what the terminal holds. */
	if (s->stream >= 0 && s->out.size >= SESSION_OUT_FULL) {
		source_set_timer(source, clock_deadline(SESSION_DRAIN_MS));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++)
		if (s->outputs[i].fd >= 0)
			output_close(s, &s->outputs[i]);
	session_io_update(s);
}

/* Writes the mark behind all output of the process that has ended, by way of the terminal's other
 * side. A terminal that is stopped (Ctrl-S) takes none. */
static void write_mark(struct session *s)
{
	static const char digits[] = "0123456789";
	unsigned char random[SESSION_MARK];
	AUTO_FD int peer = ioctl(s->outputs[0].fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (peer < 0 || getrandom(random, sizeof random, 0) != sizeof random)
		return;
	for (size_t i = 0; i < sizeof random; i++)
		s->mark.digits[i] = digits[random[i] % 10];
	ssize_t n = write(peer, s->mark.digits, sizeof s->mark.digits);
	s->mark.size = n > 0 ? (size_t)n : 0;
}

void session_io_drain(struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->outputs); i++) {
		int available = 0;
		if (s->outputs[i].fd >= 0 && ioctl(s->outputs[i].fd, FIONREAD, &available) < 0)
			available = 0;
		s->outputs[i].left = available;
	}
	/* The master of a terminal reports the hang-up once all is read, but a background process
	 * that has the terminal open delays it. The mark does not wait for that. */
	if (is_terminal(s) && s->outputs[0].fd >= 0)
		write_mark(s);
	if (is_terminal(s) && s->outputs[0].fd >= 0)
		loop_add_timer(s->agent->loop, clock_deadline(SESSION_DRAIN_MS), on_drain_timer, s, &s->drain_timer);
	session_io_update(s);
}
