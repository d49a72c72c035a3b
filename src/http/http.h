/* SPDX-License-Identifier: Apache-2.0
 * HTTP/1.1 (RFC 9112) as holm speaks it between its own programs: small heads, JSON bodies, chunked
 * streams, upgrades. Three layers: the codec (pure, fuzzed), a server on the loop, and two clients
 * (blocking for the CLI, loop for the keeper). A stream of holm is always a descriptor; whoever
 * upgrades owns that descriptor from then on. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"

enum {
	HTTP_HEAD_MAX = 16 * 1024,       /* request or status line and all headers, bytes */
	HTTP_HEADERS_MAX = 64,           /* header lines */
	HTTP_BODY_MAX = 4 * 1024 * 1024, /* a body that is held in memory */
	HTTP_CHUNK_LINE_MAX = 1024,
	HTTP_LINE_MAX = 256 * 1024,         /* one line of a JSON-lines answer */
	HTTP_BODIES_MAX = 16 * 1024 * 1024, /* all bodies that one server holds at a time; more get 503 */
	HTTP_CONNECTIONS_MAX = 512,         /* of one server; more are closed at once */
};

struct http_header {
	char *name; /* as sent; compared without case */
	char *value;
};

struct http_head {
	char *method, *target; /* requests */
	int status;            /* responses */
	int minor;             /* HTTP/1.minor */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t header_count;
	int64_t content_length; /* -1: not given */
	int chunked;
	int upgrade; /* Connection: upgrade with an Upgrade header */
	int keep_alive;
};
void http_head_done(struct http_head *h);
#define AUTO_HTTP_HEAD CLEANUP(http_head_done)
const char *http_head_get(const struct http_head *h, const char *name); /* borrowed, or NULL */

/* Parses one head at data: the bytes it took, -EAGAIN when the end has not come yet, -EBADMSG (with
 * text) when it is not HTTP, or conflicts with itself (RFC 9112 6.3: both lengths, several
 * different lengths), -EMSGSIZE past HTTP_HEAD_MAX. */
ssize_t http_parse_request(const char *data, size_t size, struct http_head *ret, struct error **err);
ssize_t http_parse_response(const char *data, size_t size, struct http_head *ret, struct error **err);
/* Appends a request with its body (borrowed JSON, or NULL). -EINVAL when the target cannot be
 * sent. */
int http_append_request(struct buffer *out, const char *method, const char *target, const char *upgrade,
    struct json_object *body);

/* Chunked decoding (RFC 9112 7.1), incremental and in place. Zeroed to begin. */
struct http_chunks {
	uint64_t left;
	int state;
};
/* Decodes from in[0..in_size): sets *ret_used, and *ret_data and *ret_data_size to one run of body
 * bytes inside `in` (may be empty). 1 body is complete, 0 more to come, -EBADMSG. */
int http_chunks_feed(struct http_chunks *c, const char *in, size_t in_size, size_t *ret_used, const char **ret_data,
    size_t *ret_data_size);

/* Takes a request that was read whole off raw, and leaves the bytes behind it. Appends its body,
 * decoded, to body unless that is NULL. 0, or -EBADMSG, also when body is full. */
int http_cut_request(struct buffer *raw, struct buffer *body);

/* "/v1/x?a=b%20c": path without the query (owned), and one decoded parameter (owned, or NULL). */
char *http_target_path(const char *target);
char *http_target_query(const char *target, const char *key);
char *http_encode_query(const char *value); /* percent-encoded (RFC 3986 2.3 unreserved stay), owned */

/* ---- server ---- */
struct http_server;
struct http_exchange; /* one request and its response; lives until it is answered or its connection is gone */

typedef void (*http_handler_fn)(struct http_exchange *x, void *data);
struct http_route {
	const char *method; /* "GET" */
	const char *path;   /* exact; or ending in "/ *" without the blank: a prefix; or after "*": a suffix */
	http_handler_fn handler;
	int stream_body; /* 1: the handler is called at the head; it reads the body itself after http_exchange_take() */
};

/* Routes end with a zero entry; `data` goes to every handler. Unknown paths get 404, known paths
 * with another method 405. The head of a request must come within 10 s of its first byte, and that
 * within 10 s of the connection; the body within 60 s. A keep-alive connection may idle 60 s. */
int http_server_new(struct loop *l, const struct http_route *routes, void *data, struct http_server **ret);
/* Sets header lines for every answer, each with its line break, and the member of a failed answer
 * that has the text ("error" without this). Both borrowed. */
void http_server_set_dialect(struct http_server *s, const char *headers, const char *error_member);
void http_server_set_head_limit(struct http_server *s, uint64_t ms); /* instead of the 10 s */
/* Answers "Expect: 100-continue" (RFC 9110 10.1.1) with 100 before the body. */
void http_server_set_continue(struct http_server *s);
/* Ends each connection with its first answer. */
void http_server_set_one_request(struct http_server *s);
void http_server_free(struct http_server *s); /* drops connections and exchanges; their closed callbacks run */
DEFINE_CLEANUP(struct http_server, http_server_free)
/* takes it; only peers with our uid (SO_PEERCRED) are served on AF_UNIX */
int http_server_listen(struct http_server *s, int listening_fd);
int http_server_serve(struct http_server *s, int connected_fd); /* takes it; for streams that a transport accepted */
/* The same for a connection of which these bytes were read already (borrowed; at most 32 KiB, more
 * is -ENOBUFS). */
int http_server_serve_given(struct http_server *s, int connected_fd, const void *bytes, size_t size);

const struct http_head *http_exchange_head(const struct http_exchange *x);
const char *http_exchange_path(const struct http_exchange *x);
/* body parsed; borrowed; NULL and an error */
struct json_object *http_exchange_json(struct http_exchange *x, struct error **err);
struct loop *http_exchange_loop(struct http_exchange *x);
/* peer went away before the answer ended */
void http_exchange_on_closed(struct http_exchange *x, void (*fn)(void *data), void *data);

/* Answers. After these (or after the closed callback) the exchange must not be touched. Errors go
 * as {"error":"text","code":"ENOENT"}. */
/* takes body; NULL: empty object */
void http_respond_json(struct http_exchange *x, int status, struct json_object *body);
/* Any body, borrowed; type NULL: none. A request with HEAD gets the head alone. */
void http_respond(struct http_exchange *x, int status, const char *type, const void *body, size_t size);
/* status from error_http_status(code) */
void http_respond_error(struct http_exchange *x, int code, const struct error *err);
/* A chunked response of JSON lines (application/x-ndjson), each flushed at once. end finishes it. A
 * reader that is more than 1 MiB behind is dropped. */
void http_stream_begin(struct http_exchange *x, int status);
void http_stream_json(struct http_exchange *x, struct json_object *line); /* takes line */
void http_stream_end(struct http_exchange *x);
/* Answers 101 with this protocol and hands over the connection: the descriptor (blocking mode off)
 * and bytes read ahead (moved into *early, initialised by this call). -EBADMSG (a 400 was sent)
 * when the request asked for no such upgrade. */
int http_upgrade(struct http_exchange *x, const char *protocol, int *ret_fd, struct buffer *early);
/* Hands over the connection as it is, head unanswered, with the raw head in front of the bytes read
 * ahead: for a proxy, or for a handler that streams a body or a raw response itself. Where the body
 * was read already (no stream_body) it follows the head again. */
int http_exchange_take(struct http_exchange *x, int *ret_fd, struct buffer *raw);

/* ---- blocking client (CLI) ---- */
struct http_response {
	struct http_head head;
	int fd;              /* borrowed from the caller of http_request */
	struct buffer early; /* body or stream bytes that came with the head */
	struct buffer lines; /* decoded bytes of the line that is not complete yet */
	struct http_chunks chunks;
	int ended;
	uint64_t body_left;
};
void http_response_done(struct http_response *response);
#define AUTO_HTTP_RESPONSE CLEANUP(http_response_done)
/* Sends one request on a connected socket and reads the head of the answer. upgrade: protocol name
 * or NULL. body: borrowed, or NULL. A status of 400 and more becomes the error that the body names:
 * -error_from_http_status(); 304 (nothing had to change) is an answer. deadline as fd_wait(). */
int http_request(int fd, const char *method, const char *target, const char *upgrade, struct json_object *body,
    uint64_t deadline_ms, struct http_response *ret, struct error **err);
/* The first half: sends the request. http_answer() is the second one. 0 or -errno. */
int http_send_request(int fd, const char *method, const char *target, const char *upgrade, struct json_object *body,
    uint64_t deadline_ms, struct error **err);
/* The second half, also for a request that the caller has written itself (a body that is
 * streamed). */
int http_answer(int fd, uint64_t deadline_ms, struct http_response *ret, struct error **err);
/* whole body */
int http_response_json(struct http_response *response, uint64_t deadline_ms, struct json_object **ret,
    struct error **err);
/* Next line of a JSON-lines response: 1 and *ret, 0 at the end, -errno. */
int http_response_line(struct http_response *response, uint64_t deadline_ms, struct json_object **ret,
    struct error **err);
/* Raw body bytes: count, 0 at the end, -errno. */
ssize_t http_response_read(struct http_response *response, void *data, size_t size, uint64_t deadline_ms,
    struct error **err);

/* ---- loop client (keeper and agent) ---- */
struct http_call;
struct http_call_events {
	/* each line of a JSON-lines answer, borrowed; may be NULL */
	void (*line)(struct json_object *line, void *data);
	/* Once, last: code 0 and the body (NULL when lines were given), or -errno and the error
	 * (borrowed). The call frees itself after. */
	void (*done)(int code, struct json_object *body, const struct error *err, void *data);
	/* Both or neither: asks for this protocol; on 101 `upgraded` gets the descriptor (owned)
	 * and what was read ahead (emptied after the callback), and `done` is not called. Any other
	 * answer is an error for `done`. */
	const char *upgrade;
	void (*upgraded)(int fd, struct buffer *early, void *data);
};
/* Takes fd (also when it fails). body: taken, may be NULL. deadline bounds the whole call
 * (UINT64_MAX for a stream without end). ret may be NULL. No callback runs before the loop does. A
 * line is at most HTTP_LINE_MAX bytes, a body HTTP_BODY_MAX. */
int http_call(struct loop *l, int fd, const char *method, const char *target, struct json_object *body,
    uint64_t deadline_ms, const struct http_call_events *events, void *data, struct http_call **ret);
void http_call_cancel(struct http_call *c); /* done is not called */

/* ---- relay ---- */
/* Copies both ways between two descriptors (both taken) until both directions ended; half-closes
 * are passed on with shutdown(2); `first_to_b` (may be NULL) are bytes to write to b before
 * anything read from a. Bounded memory: 64 KiB a direction. */
struct relay;
int relay_new(struct loop *l, int a, int b, struct buffer *first_to_b, void (*ended)(struct relay *relay, void *data),
    void *data, struct relay **ret);
void relay_free(struct relay *relay);
/* Keeps what follows the head of the answer from b until a has read that head. A library that reads
 * ahead while it parses the head would lose the rest. */
void relay_hold(struct relay *relay);
/* Calls `parted`, with the relay's own data, once one side is gone or b sends no more; bytes may
 * still be on their way, as long as a side that takes none of them likes. At most once, before
 * `ended`; it may free other relays, not this one. */
void relay_on_parted(struct relay *relay, void (*parted)(void *data));
