/* SPDX-License-Identifier: Apache-2.0
 * Exchanges, for handlers: read the request, answer it, stream lines, or take the connection over.
 * Nothing here frees memory. Answers are sent at once, so that one written just before the process
 * ends still arrives; connection_run() sends the rest. */
#include <errno.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/server_connection.h"

enum { STREAM_BEHIND_MAX = 1024 * 1024, ANSWER_TIMEOUT_MS = 60 * 1000 };

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
	return &x->head;
}

const char *http_exchange_path(const struct http_exchange *x)
{
	return x->path;
}

struct loop *http_exchange_loop(struct http_exchange *x)
{
	return x->server->loop;
}

struct json_object *http_exchange_json(struct http_exchange *x, struct error **err)
{
	if (!x->json) {
		if (json_parse_bytes(x->body.data ? x->body.data : "", x->body.size, "request", &x->json, err) < 0)
			return NULL;
		if (!json_object_is_type(x->json, json_type_object)) {
			json_object_put(TAKE_PTR(x->json));
			error_set(err, EINVAL, "the request's body is not a JSON object");
		}
	}
	return x->json;
}

void http_exchange_on_closed(struct http_exchange *x, void (*fn)(void *data), void *data)
{
	x->closed = fn;
	x->closed_data = data;
}

/* Puts it out as far as the socket takes it now. */
static void push(struct http_exchange *x)
{
	if (x->fd >= 0 && x->out.size)
		(void)buffer_send(&x->out, x->fd);
	connection_kick(x);
}

static void answered(struct http_exchange *x)
{
	x->closed = NULL;
	x->state = CONNECTION_FLUSH;
	source_set_timer(x->timer, clock_deadline(ANSWER_TIMEOUT_MS));
	push(x);
}

static const char *connection_header(const struct http_exchange *x)
{
	return x->close_after ? "Connection: close\r\n" : x->head.minor == 0 ? "Connection: keep-alive\r\n" : "";
}

/* A body that the handler never read would be taken for the next request. */
static void close_if_body_is_left(struct http_exchange *x)
{
	int had_body = x->head.chunked || x->head.content_length > 0;
	int read_whole = x->head.chunked ? x->chunks.state != 0 : x->body.size == (size_t)x->head.content_length;
	if (had_body && !read_whole)
		x->close_after = 1;
}

/* These have no body, and no word about its length (RFC 9110 8.6). */
static int has_length(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

void http_respond(struct http_exchange *x, int status, const char *type, const void *body, size_t size)
{
	/* The handler is done with the exchange, even if the answer cannot be sent any more. */
	x->closed = NULL;
	if (x->state == CONNECTION_DEAD)
		return;
	close_if_body_is_left(x);
	int r = buffer_appendf(&x->out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
	if (r == 0 && type)
		r = buffer_appendf(&x->out, "Content-Type: %s\r\n", type);
	if (r == 0 && has_length(status))
		r = buffer_appendf(&x->out, "Content-Length: %zu\r\n", size);
	if (r == 0)
		r = buffer_appendf(&x->out, "%s%s\r\n", x->server->headers, connection_header(x));
	if (r == 0 && size && has_length(status) && !streq(x->head.method, "HEAD"))
		r = buffer_append(&x->out, body, size);
	if (r < 0)
		connection_drop(x);
	else
		answered(x);
}

void http_respond_json(struct http_exchange *x, int status, struct json_object *body)
{
	AUTO_JSON struct json_object *owned = body ? body : json_object_new_object();
	size_t size;
	const char *text =
	    json_object_to_json_string_length(owned, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	http_respond(x, status, "application/json", text, size);
}

void http_respond_error(struct http_exchange *x, int code, const struct error *err)
{
	struct json_object *body = json_object_new_object();
	code = code < 0 ? -code : code;
	json_add_string(body, x->server->error_member, error_text(err, code));
	json_add_string(body, "code", http_code_name(code));
	http_respond_json(x, error_http_status(code), body);
}

void http_stream_begin(struct http_exchange *x, int status)
{
	if (x->state == CONNECTION_DEAD)
		return;
	close_if_body_is_left(x);
	x->close_after |= x->head.minor == 0;
	x->state = CONNECTION_STREAM;
	if (buffer_appendf(&x->out, "HTTP/1.1 %d %s\r\nContent-Type: application/x-ndjson\r\n%s%s%s\r\n", status,
		http_status_text(status), x->server->headers, x->head.minor ? "Transfer-Encoding: chunked\r\n" : "",
		x->close_after ? "Connection: close\r\n" : "") < 0)
		connection_drop(x);
	else
		push(x);
}

void http_stream_json(struct http_exchange *x, struct json_object *line)
{
	AUTO_JSON struct json_object *owned = line;
	if (x->state == CONNECTION_DEAD)
		return;
	size_t size;
	const char *text =
	    json_object_to_json_string_length(owned, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	int chunked = x->head.minor > 0, r = 0;
	if (x->out.size > STREAM_BEHIND_MAX)
		r = -ENOBUFS;
	if (r == 0 && chunked)
		r = buffer_appendf(&x->out, "%zx\r\n", size + 1);
	if (r == 0)
		r = buffer_append(&x->out, text, size);
	if (r == 0)
		r = buffer_append_string(&x->out, chunked ? "\n\r\n" : "\n");
	if (r < 0)
		connection_drop(x);
	else
		push(x);
}

void http_stream_end(struct http_exchange *x)
{
	x->closed = NULL;
	if (x->state == CONNECTION_DEAD)
		return;
	if (x->head.minor > 0 && buffer_append_string(&x->out, "0\r\n\r\n") < 0)
		connection_drop(x);
	else
		answered(x);
}

/* Detaches the descriptor from the exchange, which is freed at the end of this turn. */
static int detach(struct http_exchange *x)
{
	source_free(TAKE_PTR(x->io));
	x->closed = NULL;
	x->state = CONNECTION_DEAD;
	connection_kick(x);
	return TAKE_FD(x->fd);
}

static void move_input(struct http_exchange *x, struct buffer *to)
{
	*to = x->in;
	buffer_init(&x->in, 0);
}

int http_upgrade(struct http_exchange *x, const char *protocol, int *ret_fd, struct buffer *early)
{
	const char *wanted = http_head_get(&x->head, "upgrade");
	/* The caller has done with it, also when the connection is gone and not freed yet. */
	x->closed = NULL;
	if (x->state == CONNECTION_DEAD)
		return -EPIPE;
	if (!x->head.upgrade || strcasecmp(wanted, protocol) != 0) {
		AUTO_ERROR struct error *err = NULL;
		error_set(&err, EINVAL, "%s needs \"Upgrade: %s\"", x->path, protocol);
		http_respond_error(x, EINVAL, err);
		return -EBADMSG;
	}
	int r = buffer_appendf(&x->out,
	    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol);
	if (r < 0 || buffer_send(&x->out, x->fd) < 0 || x->out.size) {
		connection_drop(x);
		return -EPIPE;
	}
	move_input(x, early);
	*ret_fd = detach(x);
	return 0;
}

int http_exchange_take(struct http_exchange *x, int *ret_fd, struct buffer *raw)
{
	x->closed = NULL; /* as above */
	if (x->state == CONNECTION_DEAD)
		return -EPIPE;
	buffer_init(raw, x->head_size + x->body.size + x->in.size + 64);
	int r = buffer_append(raw, x->raw, x->head_size);
	if (r == 0 && x->body.size && x->head.chunked)
		r = buffer_appendf(raw, "%zx\r\n", x->body.size);
	if (r == 0 && x->body.size)
		r = buffer_append(raw, x->body.data, x->body.size);
	if (r == 0 && x->head.chunked && x->chunks.state)
		r = buffer_append_string(raw, x->body.size ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
	if (r == 0)
		r = buffer_append(raw, x->in.data, x->in.size);
	if (r < 0) {
		buffer_done(raw);
		return r;
	}
	*ret_fd = detach(x);
	return 0;
}
