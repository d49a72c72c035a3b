/* SPDX-License-Identifier: Apache-2.0
 * See stdio.h. Bounded in every direction: CLIENT_FULL bytes wait for a client before the pipes are
 * left alone, INPUT_FULL bytes wait for the process before clients are.
 *
 * A client that closes its sending side has ended its input and goes on listening; one that is gone
 * is dropped, and the process does not notice.
 *
 * A client gets no output before it has read the head of its answer: a library that reads ahead
 * while it parses the head would lose that output (docker-py). */
#include "agent/engine/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"

enum {
	CLIENT_FULL = 256 * 1024,
	STEP = 32 * 1024, /* no less than SPOOL_STEP */
	CLIENT_MAX = CLIENT_FULL + 4 * (STEP + DOCKER_FRAME_HEADER),
	INPUT_FULL = 64 * 1024,
	CLIENTS_MAX = 256,
	LINGER_MS = 60 * 1000, /* for a client that does not read its last bytes */
};

struct client {
	struct client *next;
	struct stdio *stdio; /* NULL: only its last bytes are left */
	struct loop *loop;
	struct stdio_client wish;
	struct source *source, *timer;
	uint32_t events; /* that are watched */
	struct buffer out;
	int input_ended;
	int is_held;    /* until it has read the head of the answer */
	size_t matched; /* keys at the end of its input, which are held back */
};

struct stdio {
	struct loop *loop;
	struct stdio_events events;
	void *data;
	int once, running, input_over, terminal;
	unsigned rows, columns;
	int input;
	struct source *input_source;
	struct buffer waiting; /* for the process */
	int outputs[2];
	struct spool *spool; /* or NULL */
	struct source *output_sources[2];
	struct client *clients;
	size_t client_count;
};

static void update(struct stdio *s);

static void client_free(struct client *c)
{
	if (c->stdio) {
		for (struct client **at = &c->stdio->clients; *at; at = &(*at)->next)
			if (*at == c) {
				*at = c->next;
				break;
			}
		c->stdio->client_count--;
	}
	source_free(c->source);
	source_free(c->timer);
	/* A child of the engine that removes or copies files may still have the connection, too. */
	shutdown(c->wish.fd, SHUT_RDWR);
	fd_close(c->wish.fd);
	buffer_done(&c->out);
	free(c);
}

static void on_linger(struct source *source, void *data)
{
	client_free(data);
}

/* Whether bytes wait for the client to read the head. */
static int is_waiting(const struct client *c)
{
	return c->is_held && c->out.size;
}

/* 0, or -errno when the client is gone. */
static int client_send(struct client *c)
{
	if (is_waiting(c) && fd_is_unread(c->wish.fd))
		return 0;
	c->is_held = c->is_held && !c->out.size;
	ssize_t n = buffer_send(&c->out, c->wish.fd);
	return n < 0 ? (int)n : 0;
}

/* The edge is the client's read. Setting the same events once more would report one that there is
 * not. */
static void client_set_events(struct client *c, int reads)
{
	uint32_t events = (c->out.size ? EPOLLOUT : 0) | (is_waiting(c) ? EPOLLET : 0) | (reads ? EPOLLIN : 0);
	if (events != c->events && source_set_events(c->source, events) == 0)
		c->events = events;
}

/* Leaves the client with its last bytes. */
static void client_part(struct client *c)
{
	if (!c->out.size || loop_add_timer(c->loop, clock_deadline(LINGER_MS), on_linger, c, &c->timer) < 0) {
		client_free(c);
		return;
	}
	for (struct client **at = &c->stdio->clients; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	c->stdio->client_count--;
	c->stdio = NULL;
	client_set_events(c, 0);
}

static void close_input(struct stdio *s)
{
	s->input_over = 1;
	source_free(TAKE_PTR(s->input_source));
	if (s->input >= 0 && s->events.input_closed)
		s->events.input_closed(s->data);
	fd_close(TAKE_FD(s->input));
	buffer_done(&s->waiting);
}

static void write_input(struct stdio *s)
{
	while (s->input >= 0 && s->running && s->waiting.size) {
		ssize_t n = buffer_write(&s->waiting, s->input);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0)
			close_input(s);
	}
	if (s->input >= 0 && s->running && s->input_over && !s->waiting.size)
		close_input(s);
}

/* Passes input on and looks for the keys. 0; -ECANCELED: all of them have come. */
static int take_input(struct client *c, const char *bytes, size_t size)
{
	const struct stdio_client *w = &c->wish;
	for (size_t i = 0; i < size; i++) {
		if (w->key_count && (unsigned char)bytes[i] == w->keys[c->matched]) {
			if (++c->matched == w->key_count)
				return -ECANCELED;
			continue;
		}
		int r = buffer_append(&c->stdio->waiting, w->keys, c->matched);
		c->matched = w->key_count && (unsigned char)bytes[i] == w->keys[0];
		if (r == 0 && !c->matched)
			r = buffer_append(&c->stdio->waiting, &bytes[i], 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static ssize_t read_with_keys(struct client *c, size_t room)
{
	char bytes[STEP];
	ssize_t n = recv(c->wish.fd, bytes, MIN(room, sizeof bytes), MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	int r = take_input(c, bytes, (size_t)n);
	return r < 0 ? r : n;
}

static ssize_t read_wanted(struct client *c)
{
	struct stdio *s = c->stdio;
	size_t room = MIN(INPUT_FULL - s->waiting.size, (size_t)STEP);
	return c->wish.key_count && room ? read_with_keys(c, room) : buffer_read(&s->waiting, c->wish.fd, room);
}

/* Reads stdin of a client: 1 when there may be more, 0, or -errno when the client is gone. */
static int read_client(struct client *c)
{
	struct stdio *s = c->stdio;
	char discarded[4096];
	int wanted = c->wish.in && !s->input_over;
	ssize_t n = wanted ? read_wanted(c) : recv(c->wish.fd, discarded, sizeof discarded, MSG_DONTWAIT);
	if (n == 0) {
		c->input_ended = 1;
		if (wanted && s->once && !s->terminal)
			s->input_over = 1;
		return 0;
	}
	if (n < 0)
		n = wanted ? n : -errno;
	return n > 0 ? 1 : n == -EAGAIN || n == -EINTR || n == -ENOBUFS ? 0 : (int)n;
}

static void on_client(struct source *source, int fd, uint32_t events, void *data)
{
	struct client *c = data;
	struct stdio *s = c->stdio;
	int r = 0, gone = events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLIN));
	if (!gone && events & EPOLLOUT)
		gone = client_send(c) < 0;
	if (!gone && s && events & EPOLLIN)
		gone = (r = read_client(c)) < 0;
	if (r > 0) /* an edge of what is left */
		c->events = 0;
	if (r == -ECANCELED)
		client_part(c);
	else if (gone || (!s && !c->out.size))
		client_free(c);
	else if (!s)
		client_set_events(c, 0);
	if (s)
		update(s);
}

/* Whether a client is so far behind that the process has to wait. */
static int is_full(const struct stdio *s)
{
	for (const struct client *c = s->clients; c; c = c->next)
		if (c->out.size >= CLIENT_FULL)
			return 1;
	return 0;
}

static void update(struct stdio *s)
{
	int full = is_full(s);
	write_input(s);
	for (struct client *c = s->clients; c; c = c->next) {
		int reads = !c->input_ended && (!c->wish.in || s->input_over || s->waiting.size < INPUT_FULL);
		client_set_events(c, reads);
	}
	for (int i = 0; i < 2; i++)
		if (s->output_sources[i])
			source_set_events(s->output_sources[i], full ? 0 : EPOLLIN);
	if (s->input_source)
		source_set_events(s->input_source, s->waiting.size ? EPOLLOUT : 0);
}

static int append(struct client *c, enum docker_stream stream, const void *data, size_t size)
{
	return c->wish.raw ? buffer_append(&c->out, data, size) : docker_frame_append(&c->out, stream, data, size);
}

static void spread(struct stdio *s, enum docker_stream stream, const void *data, size_t size)
{
	if (s->events.output)
		s->events.output(stream, data, size, s->data);
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (!(stream == DOCKER_STDERR ? c->wish.err : c->wish.out))
			continue;
		if (append(c, stream, data, size) < 0 || client_send(c) < 0)
			client_free(c);
	}
}

static ssize_t read_output(struct stdio *s, int which, int fd, char bytes[static STEP])
{
	if (s->spool)
		return spool_read(s->spool, which, fd, bytes);
	ssize_t n = read(fd, bytes, STEP);
	return n < 0 ? -errno : n;
}

static void on_output(struct source *source, int fd, uint32_t events, void *data)
{
	struct stdio *s = data;
	int which = source == s->output_sources[1];
	char bytes[STEP];
	ssize_t n = read_output(s, which, fd, bytes);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n > 0) {
		spread(s, which ? DOCKER_STDERR : DOCKER_STDOUT, bytes, (size_t)n);
		update(s);
		return;
	}
	source_free(TAKE_PTR(s->output_sources[which]));
	fd_close(TAKE_FD(s->outputs[which]));
	if (s->outputs[0] < 0 && s->outputs[1] < 0)
		s->events.ended(s->data);
}

static void on_input(struct source *source, int fd, uint32_t events, void *data)
{
	struct stdio *s = data;
	if (events & EPOLLERR)
		close_input(s);
	update(s);
}

struct stdio *stdio_new(struct loop *l, int once, const struct stdio_events *events, void *data)
{
	struct stdio *s = xnew(struct stdio);
	*s = (struct stdio){ .loop = l,
		.events = *events,
		.data = data,
		.once = once,
		.input = -1,
		.outputs = { -1, -1 } };
	buffer_init(&s->waiting, INPUT_FULL + STEP);
	return s;
}

void stdio_give_up(struct stdio *s)
{
	while (s->clients)
		client_part(s->clients);
}

void stdio_free(struct stdio *s)
{
	if (!s)
		return;
	stdio_give_up(s);
	close_input(s);
	for (int i = 0; i < 2; i++) {
		source_free(s->output_sources[i]);
		fd_close(s->outputs[i]);
	}
	spool_free(s->spool);
	free(s);
}

int stdio_open(struct stdio *s, int with_input, int standard[3])
{
	for (int i = 0; i < 3; i++)
		standard[i] = -1;
	for (int i = 0; i < 3; i++) {
		int ends[2];
		if (i == 0 && !with_input) {
			s->input_over = 1;
			continue;
		}
		int r = fd_pipe(ends);
		if (r < 0)
			return r;
		standard[i] = i == 0 ? ends[0] : ends[1];
		int ours = i == 0 ? ends[1] : ends[0];
		fd_set_nonblocking(ours, 1);
		if (i == 0)
			s->input = ours;
		else
			s->outputs[i - 1] = ours;
	}
	return 0;
}

void stdio_set_spool(struct stdio *s, struct spool *spool)
{
	s->spool = spool;
}

struct spool *stdio_spool(const struct stdio *s)
{
	return s->spool;
}

void stdio_descriptors(const struct stdio *s, int fds[static HELD_COUNT])
{
	fds[HELD_INPUT] = s->input;
	fds[HELD_OUTPUT] = s->outputs[0];
	fds[HELD_ERROR] = s->outputs[1];
	if (s->spool)
		spool_descriptors(s->spool, fds);
}

int stdio_adopt(struct stdio *s, int fds[static HELD_COUNT])
{
	s->spool = spool_adopt(fds);
	s->input = TAKE_FD(fds[HELD_INPUT]);
	s->input_over = s->input < 0;
	s->outputs[0] = TAKE_FD(fds[HELD_OUTPUT]);
	s->outputs[1] = TAKE_FD(fds[HELD_ERROR]);
	return s->spool ? 0 : -EBADMSG;
}

void stdio_resize(struct stdio *s, unsigned rows, unsigned columns)
{
	const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
	s->rows = rows;
	s->columns = columns;
	if (s->terminal && s->outputs[0] >= 0 && rows && columns)
		(void)ioctl(s->outputs[0], TIOCSWINSZ, &size);
}

void stdio_set_terminal(struct stdio *s, int master)
{
	fd_set_nonblocking(master, 1);
	s->terminal = 1;
	s->input_over = 0;
	s->outputs[0] = master;
	s->input = fcntl(master, F_DUPFD_CLOEXEC, 3);
	stdio_resize(s, s->rows, s->columns);
}

/* Takes the bytes that an earlier engine had moved into the spool. */
static void spread_rest(struct stdio *s)
{
	char bytes[SPOOL_STEP];
	for (int i = 0; i < 2; i++)
		for (ssize_t n; (n = spool_read_rest(s->spool, i, bytes)) > 0;)
			spread(s, i ? DOCKER_STDERR : DOCKER_STDOUT, bytes, (size_t)n);
}

int stdio_run(struct stdio *s)
{
	int r = 0;
	s->running = 1;
	if (s->spool)
		spread_rest(s);
	for (int i = 0; r == 0 && i < 2; i++)
		if (s->outputs[i] >= 0)
			r = loop_add_io(s->loop, s->outputs[i], EPOLLIN, on_output, s, &s->output_sources[i]);
	if (r == 0 && s->input >= 0)
		r = loop_add_io(s->loop, s->input, 0, on_input, s, &s->input_source);
	update(s);
	return r;
}

int stdio_attach(struct stdio *s, const struct stdio_client *client, const struct buffer *early)
{
	struct client *c = xnew(struct client);
	*c = (struct client){ .stdio = s, .loop = s->loop, .wish = *client, .is_held = 1, .next = s->clients };
	buffer_init(&c->out, CLIENT_MAX);
	c->wish.first = NULL;
	s->clients = c;
	s->client_count++;
	fd_set_nonblocking(client->fd, 1);
	int r = s->client_count > CLIENTS_MAX ? -EBUSY : 0;
	if (r == 0 && client->first && client->first->size)
		r = buffer_append(&c->out, client->first->data, client->first->size);
	if (r == 0 && early && early->size && client->in && !s->input_over)
		r = take_input(c, early->data, early->size);
	if (r == 0)
		r = loop_add_io(s->loop, client->fd, 0, on_client, c, &c->source);
	if (r < 0)
		client_free(c);
	else
		update(s);
	return r;
}

int stdio_is_over(const struct stdio *s)
{
	return s->outputs[0] < 0 && s->outputs[1] < 0;
}

void stdio_say(struct stdio *s, enum docker_stream stream, const void *data, size_t size)
{
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		if (append(c, stream, data, size) < 0 || client_send(c) < 0)
			client_free(c);
	}
}
