/* SPDX-License-Identifier: Apache-2.0
 * See forward.h. As in session.c, libssh's callbacks only note things and fill a buffer;
 * forward_step() does the rest in each turn of the loop. Each direction ends by itself: the end of
 * one is passed on, and the channel closes after both. */
#include "ssh/forward.h"

#include <errno.h>
#include <libssh/callbacks.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "cli/client.h"
#include "http/http.h"

enum {
	DIAL_MS = 150 * 1000,
	READ_SIZE = 64 * 1024,
	FULL = 256 * 1024,
	BUFFER_MAX = FULL + READ_SIZE,
	SENDING_MAX = FULL + HELD_MAX
};

struct forward {
	struct connection *connection;
	struct forward *next;
	ssh_message asked; /* not answered yet; NULL */
	struct http_call *call;
	ssh_channel channel;                  /* NULL: while it dials */
	int (*open)(const struct forward *f); /* has still to open the channel; NULL */
	char *host, *origin;                  /* of a port inside */
	int port, origin_port;
	struct ssh_channel_callbacks_struct callbacks;
	int fd;
	struct source *io;
	struct buffer received, sending; /* from fd; to fd */
	uint32_t held;                   /* bytes that libssh holds back */
	int eof, eof_sent;               /* the client's; passed on to fd */
	int fd_ended, fd_end_sent;       /* fd's; passed on to the client */
	int closed, failed;
};

struct forward *forward_next(const struct forward *f)
{
	return f->next;
}

static struct forward *forward_new(struct connection *c)
{
	struct forward *f = xnew(struct forward);
	*f = (struct forward){ .connection = c, .next = c->forwards, .fd = -1 };
	buffer_init(&f->received, BUFFER_MAX);
	buffer_init(&f->sending, SENDING_MAX);
	c->forwards = f;
	c->channels++;
	return f;
}

int forward_has_channel(const struct connection *c, ssh_channel channel)
{
	const struct forward *f = c->forwards;
	while (f && f->channel != channel)
		f = f->next;
	return f != NULL;
}

/* A channel that was never open is gone at once. */
static void leave_channel(struct forward *f)
{
	if (!f->channel) {
		f->connection->channels--;
		return;
	}
	ssh_remove_channel_callbacks(f->channel, &f->callbacks);
	connection_leave_channel(f->connection, f->channel, f->closed || f->open);
}

void forward_free(struct forward *f)
{
	for (struct forward **at = &f->connection->forwards; *at; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			break;
		}
	}
	http_call_cancel(f->call);
	if (f->asked) {
		ssh_message_reply_default(f->asked);
		ssh_message_free(f->asked);
	}
	source_free(f->io);
	fd_close(f->fd);
	leave_channel(f);
	buffer_done(&f->received);
	buffer_done(&f->sending);
	free(f->host);
	free(f->origin);
	free(f);
}

/* ---- libssh's callbacks ---- */

static int on_data(ssh_session ssh, ssh_channel channel, void *bytes, uint32_t size, int is_stderr, void *data)
{
	struct forward *f = data;
	if (is_stderr || f->closed)
		return (int)size;
	uint32_t n = f->sending.size < FULL ? (uint32_t)MIN(size, FULL - f->sending.size) : 0;
	buffer_append(&f->sending, bytes, n);
	f->held = size - n;
	if (f->held > HELD_MAX)
		connection_fail(f->connection, "the ssh client sends more than a channel's window");
	connection_wake(f->connection);
	return (int)n;
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *data)
{
	struct forward *f = data;
	f->eof = 1;
	connection_wake(f->connection);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *data)
{
	struct forward *f = data;
	f->closed = 1;
	connection_wake(f->connection);
}

static void attach(struct forward *f, ssh_channel channel)
{
	f->channel = channel;
	f->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = f,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
	};
	ssh_callbacks_init(&f->callbacks);
	ssh_set_channel_callbacks(channel, &f->callbacks);
}

/* ---- the start ---- */

static void on_dialled(int fd, struct buffer *early, void *data)
{
	struct forward *f = data;
	f->call = NULL;
	f->fd = fd;
	buffer_append(&f->received, early->data, early->size);
	ssh_channel channel = ssh_message_channel_request_open_reply_accept(f->asked);
	ssh_message_free(TAKE_PTR(f->asked));
	if (channel)
		attach(f, channel);
	f->failed = !channel;
	connection_wake(f->connection);
}

static void on_refused(int code, struct json_object *body, const struct error *err, void *data)
{
	struct forward *f = data;
	f->call = NULL;
	f->failed = 1;
	connection_wake(f->connection);
}

void forward_dial(struct connection *c, ssh_message m)
{
	static const struct http_call_events events = {
		.done = on_refused,
		.upgrade = "holm-stream",
		.upgraded = on_dialled,
	};
	struct forward *f = forward_new(c);
	struct json_object *body = json_object_new_object();
	f->asked = m;
	json_add_string(body, "protocol", "tcp");
	json_add_string(body, "host", ssh_message_channel_request_open_destination(m));
	json_add_i64(body, "port", ssh_message_channel_request_open_destination_port(m));
	int fd = client_connect(c->machine, NULL);
	int r = fd < 0 ? fd :
			 http_call(c->loop, fd, "POST", "/v1/dial", json_object_get(body), clock_deadline(DIAL_MS),
			     &events, f, &f->call);
	json_object_put(body);
	f->failed = r < 0;
	connection_wake(c);
}

static int open_agent(const struct forward *f)
{
	return ssh_channel_open_auth_agent(f->channel);
}

/* The new forward, or NULL. */
static struct forward *open_to_client(struct connection *c, int fd, int (*open)(const struct forward *f))
{
	ssh_channel channel = c->channels < CHANNELS_MAX ? ssh_channel_new(c->ssh) : NULL;
	if (!channel || fd_set_nonblocking(fd, 1) < 0) {
		fd_close(fd);
		ssh_channel_free(channel);
		return NULL;
	}
	struct forward *f = forward_new(c);
	f->fd = fd;
	f->open = open;
	attach(f, channel);
	connection_wake(c);
	return f;
}

void forward_to_agent(struct connection *c, int fd)
{
	open_to_client(c, fd, open_agent);
}

static int open_port(const struct forward *f)
{
	return ssh_channel_open_reverse_forward(f->channel, f->host, f->port, f->origin, f->origin_port);
}

void forward_from_port(struct connection *c, int fd, const struct buffer *early, const char *host, int port,
    const char *origin, int origin_port)
{
	struct forward *f = open_to_client(c, fd, open_port);
	if (!f)
		return;
	buffer_append(&f->received, early->data, early->size);
	f->host = xstrdup(host);
	f->port = port;
	f->origin = xstrdup(origin);
	f->origin_port = origin_port;
}

/* ---- both ways ---- */

/* Takes all that libssh holds, or nothing: each read opens libssh's whole window again. */
static void pull(struct forward *f)
{
	if (!f->held || f->sending.size)
		return;
	AUTOFREE char *data = xmalloc(f->held);
	int n = ssh_channel_read_nonblocking(f->channel, data, f->held, 0);
	if (n <= 0) { /* the connection has ended: libssh gives nothing of what it holds */
		f->failed = 1;
		return;
	}
	f->held -= MIN(f->held, (uint32_t)n);
	buffer_append(&f->sending, data, (size_t)n);
}

/* From the client to fd. */
static void send_on(struct forward *f)
{
	ssize_t n = 1;
	do {
		pull(f);
		if (f->sending.size)
			n = buffer_send(&f->sending, f->fd);
	} while (!f->failed && n > 0 && (f->sending.size || f->held));
	if (n < 0) {
		f->failed = 1;
		return;
	}
	if ((f->eof || f->closed) && !f->held && !f->sending.size && !f->eof_sent) {
		shutdown(f->fd, SHUT_WR);
		f->eof_sent = 1;
	}
}

/* From fd to the client. */
static void write_back(struct forward *f)
{
	uint32_t budget = TURN_BYTES;
	while (f->received.size && budget && (budget < TURN_BYTES || connection_takes_output(f->connection))) {
		uint32_t size = (uint32_t)MIN(f->received.size, MIN(ssh_channel_window_size(f->channel), budget));
		int n = size ? ssh_channel_write(f->channel, f->received.data, size) : 0;
		if (n < 0)
			f->failed = 1;
		if (n <= 0)
			break;
		buffer_consume(&f->received, (size_t)n);
		budget -= (uint32_t)n;
	}
	if (f->fd_ended && !f->received.size && !f->fd_end_sent) {
		ssh_channel_send_eof(f->channel);
		f->fd_end_sent = 1;
	}
}

static void on_io(struct source *source, int fd, uint32_t events, void *data)
{
	struct forward *f = data;
	ssize_t n = -EAGAIN;
	if (!f->fd_ended && f->received.size < FULL && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		n = buffer_read(&f->received, fd, READ_SIZE);
	else if (events & (EPOLLHUP | EPOLLERR)) /* it is reported again and again */
		source_free(TAKE_PTR(f->io));
	if (n == 0)
		f->fd_ended = 1;
	else if (n < 0 && n != -EAGAIN && n != -EINTR)
		f->failed = 1;
	connection_wake(f->connection);
}

static void watch(struct forward *f)
{
	uint32_t events = (!f->fd_ended && f->received.size < FULL ? EPOLLIN : 0) | (f->sending.size ? EPOLLOUT : 0);
	if (!events)
		source_free(TAKE_PTR(f->io));
	else if (f->io)
		source_set_events(f->io, events);
	else
		loop_add_io(f->connection->loop, f->fd, events, on_io, f, &f->io);
}

/* 1: the channel is open. One that the client has refused has no number of the client's, and
 * ssh_channel_close() would close the client's channel 0, which is another one. */
static int is_open(struct forward *f)
{
	int r = f->open ? f->open(f) : SSH_OK;
	if (r == SSH_AGAIN)
		return 0;
	f->open = NULL;
	if (r != SSH_OK) {
		ssh_remove_channel_callbacks(f->channel, &f->callbacks);
		ssh_channel_free(TAKE_PTR(f->channel));
		f->failed = 1;
	}
	return !f->failed;
}

void forward_step(struct forward *f)
{
	if (!f->failed && (!f->channel || !is_open(f)) && !f->failed)
		return;
	if (!f->failed) {
		send_on(f);
		if (!f->closed)
			write_back(f);
	}
	/* The bytes that the client sent before it closed are still delivered. */
	int over = f->closed ? f->eof_sent : f->eof_sent && f->fd_end_sent;
	if (f->failed || over) {
		if (f->channel)
			ssh_channel_close(f->channel);
		forward_free(f);
		return;
	}
	watch(f);
}
