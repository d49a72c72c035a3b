/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: one connected socket, two directions.
 *
 * Out: a list of messages, each perhaps with a descriptor, written as the socket takes them. Until
 * the greeting has come and qmp_capabilities is answered only that one command goes out; the others
 * wait in the list. In: bytes gather in a capped buffer; each complete line is parsed and is a
 * greeting, an event, or an answer to a pending command by its id. An answer to nothing we asked
 * (any more) is dropped; a line that is no JSON object ends the connection.
 */
#include "isolation/vm/qmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"

struct message {
	struct message *next;
	char *text;
	size_t size, sent;
	int fd; /* -1, or the descriptor that goes with the first byte */
};

struct pending {
	int64_t id; /* 0: free */
	uint64_t deadline_ms;
	qmp_done_fn done;
	void *data;
};

struct qmp {
	struct loop *loop;
	int fd;
	struct source *io, *timer, *closing;
	struct buffer in;
	struct message *first, **last;
	struct pending pending[QMP_PENDING_MAX];
	int64_t next_id;
	int ready;
	int close_code; /* the arguments of `closed` */
	char *close_why;
	struct qmp_events events;
	void *data;
};

static void message_free(struct message *m)
{
	fd_close(m->fd);
	free(m->text);
	free(m);
}

static void on_closing(struct source *s, void *data)
{
	struct qmp *q = data;
	source_free(q->closing);
	q->closing = NULL;
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		struct pending p = q->pending[i];
		q->pending[i].id = 0;
		if (p.id != 0 && p.done)
			p.done(-EPIPE, NULL, "the virtual machine has ended", p.data);
	}
	if (q->events.closed)
		q->events.closed(q->close_code, q->close_why, q->data);
}

/* The connection is over; the owner hears it from the loop, never from inside a call of its own. */
static void fail(struct qmp *q, int code, const char *why)
{
	if (q->fd < 0)
		return;
	source_free(q->io);
	q->io = NULL;
	fd_close(TAKE_FD(q->fd));
	/* A QEMU that exits with a command unread is an end of file too. */
	q->close_code = code == -ECONNRESET || code == -EPIPE ? 0 : code;
	q->close_why = xstrdup(why);
	loop_add_deferred(q->loop, on_closing, q, &q->closing);
}

static void flush(struct qmp *q)
{
	while (q->fd >= 0 && q->first) {
		struct message *m = q->first;
		ssize_t n =
		    fd_send_bytes(q->fd, m->text + m->sent, m->size - m->sent, &m->fd, m->fd >= 0, MSG_DONTWAIT);
		if (n == -EAGAIN)
			break;
		if (n < 0) {
			fail(q, (int)n, "cannot write to QEMU's monitor");
			return;
		}
		fd_close(TAKE_FD(m->fd));
		m->sent += (size_t)n;
		if (m->sent < m->size)
			continue;
		q->first = m->next;
		if (!q->first)
			q->last = &q->first;
		message_free(m);
	}
	if (q->io)
		source_set_events(q->io, EPOLLIN | (q->first ? EPOLLOUT : 0));
}

static void arm_timer(struct qmp *q)
{
	uint64_t at = UINT64_MAX;
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		if (q->pending[i].id != 0)
			at = MIN(at, q->pending[i].deadline_ms);
	}
	source_set_timer(q->timer, at);
}

static void on_timer(struct source *s, void *data)
{
	struct qmp *q = data;
	uint64_t now = clock_now_ms();
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		struct pending p = q->pending[i];
		if (p.id == 0 || p.deadline_ms > now)
			continue;
		q->pending[i].id = 0;
		if (p.done)
			p.done(-ETIMEDOUT, NULL, "QEMU does not answer", p.data);
	}
	arm_timer(q);
}

static struct pending *pending_new(struct qmp *q, qmp_done_fn done, void *data)
{
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		if (q->pending[i].id == 0) {
			q->pending[i] = (struct pending){
				.id = q->next_id++,
				.deadline_ms = clock_deadline(QMP_TIMEOUT_MS),
				.done = done,
				.data = data,
			};
			return &q->pending[i];
		}
	}
	return NULL;
}

static void queue_command(struct qmp *q, const char *command, struct json_object *arguments, int pass_fd,
    const struct pending *p)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "execute", command);
	if (arguments)
		json_add(o, "arguments", arguments);
	json_add_i64(o, "id", p->id);
	AUTOFREE char *text = json_to_string(o, 0);
	struct message *m = xnew(struct message);
	m->text = xasprintf("%s\n", text);
	m->size = strlen(m->text);
	m->fd = pass_fd;
	*q->last = m;
	q->last = &m->next;
	arm_timer(q);
}

int qmp_execute(struct qmp *q, const char *command, struct json_object *arguments, int pass_fd, qmp_done_fn done,
    void *data)
{
	struct pending *p = q->fd >= 0 ? pending_new(q, done, data) : NULL;
	if (!p) {
		json_object_put(arguments);
		fd_close(pass_fd);
		return q->fd >= 0 ? -ENOBUFS : -EPIPE;
	}
	queue_command(q, command, arguments, pass_fd, p);
	if (q->ready)
		flush(q);
	return 0;
}

static void on_capabilities(int code, struct json_object *result, const char *why, void *data)
{
	struct qmp *q = data;
	if (code < 0) {
		fail(q, code, why);
		return;
	}
	q->ready = 1;
	flush(q);
	if (q->events.ready)
		q->events.ready(q->data);
}

/* Only the first command may go out before it is answered: the list behind it is put aside for one
 * flush. */
static void handle_greeting(struct qmp *q)
{
	struct pending *p = pending_new(q, on_capabilities, q);
	if (q->ready || !p) {
		fail(q, -EPROTO, "QEMU's monitor greets at a wrong time");
		return;
	}
	struct message *waiting = q->first, **waiting_last = q->last;
	q->first = NULL;
	q->last = &q->first;
	queue_command(q, "qmp_capabilities", NULL, -1, p);
	flush(q);
	if (waiting) {
		*q->last = waiting;
		q->last = waiting_last;
	}
}

static void handle_answer(struct qmp *q, struct json_object *line, int64_t id)
{
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		struct pending p = q->pending[i];
		if (p.id != id)
			continue;
		q->pending[i].id = 0;
		arm_timer(q);
		struct json_object *result = NULL, *error = NULL;
		const char *why = "QEMU refuses without a reason";
		if (json_object_object_get_ex(line, "return", &result)) {
			if (p.done)
				p.done(0, result, NULL, p.data);
			return;
		}
		if (json_get_object(line, "error", &error, NULL) == 0)
			json_get_string(error, "desc", &why, NULL);
		if (p.done)
			p.done(-EIO, NULL, why, p.data);
		return;
	}
}

static int handle_line(struct qmp *q, const char *text, size_t size)
{
	AUTO_JSON struct json_object *line = NULL;
	const char *name;
	int64_t id;
	struct json_object *part = NULL;
	if (json_parse(text, size, "QMP", &line, NULL) < 0 || !json_object_is_type(line, json_type_object))
		return -EPROTO;
	if (json_get_object(line, "QMP", &part, NULL) == 0) {
		handle_greeting(q);
	} else if (json_get_string(line, "event", &name, NULL) == 0) {
		json_get_object(line, "data", &part, NULL);
		if (q->events.event)
			q->events.event(name, part, q->data);
	} else if (json_get_i64(line, "id", &id, NULL) == 0 && id > 0) {
		handle_answer(q, line, id);
	}
	return 0;
}

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct qmp *q = data;
	if (events & EPOLLOUT)
		flush(q);
	if (q->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = buffer_read(&q->in, q->fd, 16 * 1024);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		fail(q, n == -ENOBUFS ? -EPROTO : (int)n,
		    n == 0 ? "end of QEMU's monitor" : "QEMU's monitor sends an endless line");
		return;
	}
	const char *end;
	while (q->fd >= 0 && q->in.size > 0 && (end = memchr(q->in.data, '\n', q->in.size))) {
		size_t size = (size_t)(end - q->in.data);
		int r = handle_line(q, q->in.data, size > 0 && end[-1] == '\r' ? size - 1 : size);
		buffer_consume(&q->in, size + 1);
		if (r < 0)
			fail(q, r, "QEMU's monitor sends something that is no JSON");
	}
}

int qmp_new(struct loop *l, int fd, const struct qmp_events *events, void *data, struct qmp **ret)
{
	struct qmp *q = xnew(struct qmp);
	q->loop = l;
	q->fd = fd;
	q->last = &q->first;
	q->next_id = 1;
	q->events = *events;
	q->data = data;
	buffer_init(&q->in, QMP_LINE_MAX);
	int r = fd_set_nonblocking(fd, 1);
	if (r >= 0)
		r = loop_add_io(l, fd, EPOLLIN, on_io, q, &q->io);
	if (r >= 0)
		r = loop_add_timer(l, UINT64_MAX, on_timer, q, &q->timer);
	if (r < 0) {
		qmp_free(q);
		return r;
	}
	*ret = q;
	return 0;
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	source_free(q->io);
	source_free(q->timer);
	source_free(q->closing);
	fd_close(q->fd);
	buffer_done(&q->in);
	while (q->first) {
		struct message *m = q->first;
		q->first = m->next;
		message_free(m);
	}
	free(q->close_why);
	free(q);
}
