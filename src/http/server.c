/* SPDX-License-Identifier: Apache-2.0
 * The server: accepts connections, reads requests, finds their route, and moves answers out.
 *
 * A connection is a small state machine (server_connection.h) that only connection_run() drives:
 * from the descriptor's events, or at the end of a turn after a handler did something
 * (connection_kick). So a handler may answer, take over or lose an exchange at any time without the
 * ground going away beneath a caller: freeing happens in connection_run() alone, and calling a
 * handler is the last thing it does. */
#include <errno.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/accept.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/server_connection.h"

enum {
	HEAD_TIMEOUT_MS = 10 * 1000,
	BODY_TIMEOUT_MS = 60 * 1000,
	IDLE_TIMEOUT_MS = 60 * 1000,
	FLUSH_TIMEOUT_MS = 60 * 1000,
	INPUT_MAX = HTTP_HEAD_MAX + 16 * 1024,
	OUTPUT_MAX = HTTP_BODY_MAX + HTTP_HEAD_MAX,
};

struct listener {
	struct listener *next;
	struct http_server *server;
	int fd;
	struct source *source;
};

static void connection_run(struct http_exchange *x);

/* ---- one connection ---- */

static void exchange_reset(struct http_exchange *x)
{
	x->server->bodies -= x->body.size;
	buffer_done(&x->body);
	http_head_done(&x->head);
	free(TAKE_PTR(x->raw));
	free(TAKE_PTR(x->path));
	json_object_put(TAKE_PTR(x->json));
	x->chunks = (struct http_chunks){ 0 };
	x->body_left = 0;
	x->head_begun = 0;
	x->closed = NULL;
}

static void connection_free(struct http_exchange *x)
{
	exchange_reset(x);
	source_free(x->io);
	source_free(x->timer);
	source_free(x->deferred);
	fd_close(x->fd);
	buffer_done(&x->in);
	buffer_done(&x->out);
	*x->link = x->next;
	if (x->next)
		x->next->link = x->link;
	x->server->connection_count--;
	free(x);
}

static void on_deferred(struct source *s, void *data)
{
	struct http_exchange *x = data;
	source_free(TAKE_PTR(x->deferred));
	connection_run(x);
}

void connection_kick(struct http_exchange *x)
{
	if (!x->deferred && loop_add_deferred(x->server->loop, on_deferred, x, &x->deferred) < 0)
		abort();
}

static void tell_closed(struct http_exchange *x)
{
	void (*closed)(void *) = TAKE_PTR(x->closed);
	if (closed)
		closed(x->closed_data);
}

void connection_drop(struct http_exchange *x)
{
	source_free(TAKE_PTR(x->io));
	fd_close(TAKE_FD(x->fd));
	x->state = CONNECTION_DEAD;
	connection_kick(x);
}

static void enter(struct http_exchange *x, enum connection_state state, uint64_t timeout_ms)
{
	x->state = state;
	source_set_timer(x->timer, timeout_ms ? clock_deadline(timeout_ms) : UINT64_MAX);
}

static void on_timer(struct source *s, void *data)
{
	struct http_exchange *x = data;
	if (x->state == CONNECTION_BODY || (x->state == CONNECTION_HEAD && x->in.size)) {
		AUTO_ERROR struct error *err = NULL;
		error_set(&err, ETIMEDOUT, "the request did not arrive in time");
		x->close_after = 1;
		http_respond_error(x, ETIMEDOUT, err);
	} else {
		connection_drop(x);
	}
}

static void on_io(struct source *s, int fd, uint32_t events, void *data)
{
	struct http_exchange *x = data;
	int waiting = x->state == CONNECTION_HANDLING || x->state == CONNECTION_STREAM || x->state == CONNECTION_FLUSH;
	if (events & (EPOLLERR | EPOLLHUP) && waiting) {
		connection_drop(x);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !waiting) {
		ssize_t n = buffer_read(&x->in, x->fd, INPUT_MAX - x->in.size);
		if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR && n != -ENOBUFS)) {
			connection_drop(x);
			return;
		}
	}
	connection_run(x);
}

/* ---- requests ---- */

static const struct http_route *find_route(struct http_exchange *x, int *ret_known)
{
	*ret_known = 0;
	for (const struct http_route *route = x->server->routes; route->path; route++) {
		size_t n = strlen(route->path);
		int prefix = n >= 2 && endswith(route->path, "/*"), suffix = route->path[0] == '*';
		if (suffix ? !endswith(x->path, route->path + 1) :
		    prefix ? strncmp(x->path, route->path, n - 1) != 0 :
			     !streq(x->path, route->path))
			continue;
		*ret_known = 1;
		if (streq(route->method, x->head.method))
			return route;
	}
	return NULL;
}

static void refuse(struct http_exchange *x, int code, const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	error_set(&err, code, "%s", text);
	x->close_after = 1;
	http_respond_error(x, code, err);
}

static void dispatch(struct http_exchange *x)
{
	int known;
	const struct http_route *route = find_route(x, &known);
	enter(x, CONNECTION_HANDLING, 0);
	source_set_events(x->io, 0);
	if (route) {
		route->handler(x, x->server->data);
		return;
	}
	AUTO_JSON struct json_object *body = json_object_new_object();
	AUTOFREE char *text = xasprintf("%s: %s", known ? "method not allowed for" : "no such resource", x->path);
	json_add_string(body, x->server->error_member, text);
	json_add_string(body, "code", known ? "EOPNOTSUPP" : "ENOENT");
	http_respond_json(x, known ? 405 : 404, TAKE_PTR(body));
}

static int add_body(struct http_exchange *x, const char *data, size_t size)
{
	if (x->server->bodies + size > HTTP_BODIES_MAX)
		return -EBUSY;
	int r = buffer_append(&x->body, data, size);
	if (r == 0)
		x->server->bodies += size;
	return r < 0 ? -EMSGSIZE : 0;
}

/* Moves what is there of the body out of `in`: 1 complete, 0 more to come, -errno. */
static int read_body(struct http_exchange *x)
{
	while (x->head.chunked && x->in.size) {
		const char *data;
		size_t used, size;
		int r = http_chunks_feed(&x->chunks, x->in.data, x->in.size, &used, &data, &size);
		int added = r < 0 ? r : size ? add_body(x, data, size) : 0;
		if (added < 0)
			return added;
		buffer_consume(&x->in, used);
		if (r == 1)
			return 1;
	}
	if (x->head.chunked)
		return 0;
	size_t n = MIN(x->body_left, x->in.size);
	int r = n ? add_body(x, x->in.data, n) : 0;
	if (r < 0)
		return r;
	buffer_consume(&x->in, n);
	x->body_left -= n;
	return x->body_left == 0;
}

static int body_is_wanted(struct http_exchange *x)
{
	int known;
	const struct http_route *route = find_route(x, &known);
	return !(route && route->stream_body) && (x->head.chunked || x->head.content_length > 0);
}

static void run_body(struct http_exchange *x)
{
	int r = read_body(x);
	if (r == 1)
		dispatch(x);
	else if (r == -EMSGSIZE)
		refuse(x, EMSGSIZE, "the request's body is too large");
	else if (r == -EBUSY)
		refuse(x, EBUSY, "too many large requests at a time; try again");
	else if (r < 0)
		refuse(x, EINVAL, "malformed body of a request");
	else
		source_set_events(x->io, EPOLLIN);
}

/* A client that has sent a part of the body does not wait. An answer that cannot be sent at once is
 * left out: clients go on by themselves after a while. */
static void say_continue(const struct http_exchange *x)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = http_head_get(&x->head, "expect");
	int has_body = x->head.chunked || x->head.content_length > 0;
	if (x->server->continues && expect && strcasecmp(expect, "100-continue") == 0 && x->head.minor && has_body &&
	    !x->in.size)
		(void)!send(x->fd, line, sizeof line - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void run_head(struct http_exchange *x)
{
	AUTO_ERROR struct error *err = NULL;
	ssize_t n = http_parse_request(x->in.data, x->in.size, &x->head, &err);
	if (n == -EAGAIN) {
		source_set_events(x->io, EPOLLIN);
		return;
	}
	if (n < 0) {
		refuse(x, n == -EMSGSIZE ? EMSGSIZE : EINVAL, error_text(err, (int)-n));
		return;
	}
	x->raw = xmemdup(x->in.data, (size_t)n);
	x->head_size = (size_t)n;
	x->path = http_target_path(x->head.target);
	x->close_after = !x->head.keep_alive || x->server->one_request;
	buffer_consume(&x->in, (size_t)n);
	int wanted = body_is_wanted(x);
	if (wanted && x->head.content_length > HTTP_BODY_MAX) {
		refuse(x, EMSGSIZE, "the request's body is too large");
		return;
	}
	say_continue(x);
	if (!wanted) {
		dispatch(x);
		return;
	}
	x->body_left = x->head.chunked ? 0 : (uint64_t)x->head.content_length;
	enter(x, CONNECTION_BODY, BODY_TIMEOUT_MS);
	run_body(x);
}

/* Writes what can be written; 0 nothing is left, 1 something is, -errno. */
static int flush(struct http_exchange *x)
{
	while (x->out.size) {
		ssize_t n = buffer_send(&x->out, x->fd);
		if (n <= 0)
			return n < 0 ? (int)n : 1;
	}
	return 0;
}

static void finish_answer(struct http_exchange *x)
{
	if (x->close_after) {
		x->closed = NULL; /* the answer ended in order */
		connection_drop(x);
		return;
	}
	exchange_reset(x);
	enter(x, CONNECTION_HEAD, IDLE_TIMEOUT_MS);
	source_set_events(x->io, EPOLLIN);
	if (x->in.size)
		connection_kick(x);
}

static void run_output(struct http_exchange *x)
{
	int r = flush(x);
	if (r < 0)
		connection_drop(x);
	else if (r == 0 && x->state == CONNECTION_FLUSH)
		finish_answer(x);
	else
		source_set_events(x->io, r ? EPOLLOUT : 0);
}

/* The time of a head runs from its first byte on, however slowly the others come. */
static void begin_head(struct http_exchange *x)
{
	if (!x->in.size || x->head_begun)
		return;
	x->head_begun = 1;
	source_set_timer(x->timer, clock_deadline(x->server->head_ms));
}

static void connection_run(struct http_exchange *x)
{
	switch (x->state) {
	case CONNECTION_HEAD:
		begin_head(x);
		run_head(x);
		break;
	case CONNECTION_BODY:
		run_body(x);
		break;
	case CONNECTION_STREAM:
	case CONNECTION_FLUSH:
		run_output(x);
		break;
	case CONNECTION_HANDLING:
		break;
	case CONNECTION_DEAD:
		tell_closed(x);
		connection_free(x);
		break;
	}
}

/* ---- the server ---- */

int http_server_new(struct loop *l, const struct http_route *routes, void *data, struct http_server **ret)
{
	struct http_server *s = xnew(struct http_server);
	s->loop = l;
	s->routes = routes;
	s->data = data;
	s->headers = "";
	s->error_member = "error";
	s->head_ms = HEAD_TIMEOUT_MS;
	*ret = s;
	return 0;
}

void http_server_set_dialect(struct http_server *s, const char *headers, const char *error_member)
{
	s->headers = headers;
	s->error_member = error_member;
}

void http_server_set_head_limit(struct http_server *s, uint64_t ms)
{
	s->head_ms = ms;
}

void http_server_set_continue(struct http_server *s)
{
	s->continues = 1;
}

void http_server_set_one_request(struct http_server *s)
{
	s->one_request = 1;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	while (s->connections) {
		/* Freeing a connection takes it off the list by its link. */
		tell_closed(s->connections); /* NOLINT(clang-analyzer-unix.Malloc) */
		connection_free(s->connections);
	}
	while (s->listeners) {
		struct listener *l = s->listeners;
		s->listeners = l->next;
		source_free(l->source);
		fd_close(l->fd);
		free(l);
	}
	free(s);
}

int http_server_serve(struct http_server *s, int connected_fd)
{
	return http_server_serve_given(s, connected_fd, NULL, 0);
}

int http_server_serve_given(struct http_server *s, int connected_fd, const void *bytes, size_t size)
{
	AUTO_FD int fd = connected_fd;
	if (s->connection_count >= HTTP_CONNECTIONS_MAX)
		return -EBUSY;
	fd_set_nonblocking(fd, 1);
	struct http_exchange *x = xnew(struct http_exchange);
	x->server = s;
	x->fd = TAKE_FD(fd);
	x->head.content_length = -1;
	buffer_init(&x->in, INPUT_MAX);
	buffer_init(&x->out, OUTPUT_MAX);
	buffer_init(&x->body, HTTP_BODY_MAX);
	x->next = s->connections;
	x->link = &s->connections;
	if (x->next)
		x->next->link = &x->next;
	s->connections = x;
	s->connection_count++;
	int r = loop_add_io(s->loop, x->fd, EPOLLIN, on_io, x, &x->io);
	if (r == 0)
		r = loop_add_timer(s->loop, clock_deadline(s->head_ms), on_timer, x, &x->timer);
	if (r == 0 && size)
		r = buffer_append(&x->in, bytes, size);
	if (r < 0)
		connection_free(x);
	else if (size)
		connection_kick(x);
	return r;
}

static int is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	struct sockaddr_storage address;
	socklen_t address_size = sizeof address;
	if (getsockname(fd, (struct sockaddr *)&address, &address_size) < 0 || address.ss_family != AF_UNIX)
		return 1;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid();
}

static void on_listener(struct source *source, int listening_fd, uint32_t events, void *data)
{
	struct listener *l = data;
	int fd = accept_connection(source, listening_fd);
	if (fd < 0)
		return;
	if (is_ours(fd))
		http_server_serve(l->server, fd);
	else
		fd_close(fd);
}

int http_server_listen(struct http_server *s, int listening_fd)
{
	AUTO_FD int fd = listening_fd;
	struct listener *l = xnew(struct listener);
	fd_set_nonblocking(fd, 1);
	int r = loop_add_io(s->loop, fd, EPOLLIN, on_listener, l, &l->source);
	if (r < 0) {
		free(l);
		return r;
	}
	l->fd = TAKE_FD(fd);
	l->server = s;
	l->next = s->listeners;
	s->listeners = l;
	return 0;
}
