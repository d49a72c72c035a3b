/* SPDX-License-Identifier: Apache-2.0
 * Sessions and archives: the connection is handed over to the agent as it is, or to a stream to it.
 * Of a session's request one thing is the keeper's: the path of the caller's ssh-agent never goes
 * inside; a number that stands for it does.
 *
 * Both wait until sessions may start, so a client that asks early need not ask twice. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "http/http.h"
#include "keeper/api/resources.h"
#include "keeper/keeper.h"

enum { SSH_PATH_MAX = 107 };

struct proxy {
	struct keeper *keeper;
	struct http_exchange *exchange;
	struct keeper_waiter *waiter;
	int is_session;
};

/* The caller's ssh-agent, as the request inside has it. */
struct lending {
	uint32_t id;           /* 0: none */
	struct error *refused; /* why it is none, where the user should know */
};

static void add_relay(struct json_object *body, const struct lending *l)
{
	struct json_object *relay = json_object_new_object();
	if (l->id)
		json_add_u64(relay, "id", l->id);
	if (l->refused)
		json_add_string(relay, "refused", l->refused->text);
	json_add(body, "relay", relay);
}

/* Replaces the body of the raw request (with the same head otherwise) by one that has "relay"
 * instead of "ssh_auth_sock". */
static int rewrite_session(struct buffer *raw, struct json_object *body, const struct lending *l)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	AUTO_BUFFER struct buffer out = { 0 };
	ssize_t head_size = http_parse_request(raw->data, raw->size, &head, NULL);
	if (head_size < 0 || head.chunked || head.content_length < 0 ||
	    (uint64_t)head.content_length > raw->size - (size_t)head_size)
		return -EINVAL;
	json_object_object_del(body, "ssh_auth_sock");
	if (l->id || l->refused)
		add_relay(body, l);
	buffer_init(&out, raw->size + HTTP_BODY_MAX);
	const char *upgrade = head.upgrade ? http_head_get(&head, "upgrade") : NULL;
	int r = http_append_request(&out, head.method, head.target, upgrade, body);
	buffer_consume(raw, (size_t)head_size + (size_t)head.content_length);
	if (r == 0)
		r = buffer_append(&out, raw->data, raw->size);
	if (r < 0)
		return r;
	buffer_done(raw);
	*raw = out;
	buffer_init(&out, 0);
	return 0;
}

/* The socket path of the request, or NULL; -EINVAL for one that cannot be a socket. */
static int session_ssh_path(struct json_object *body, const char **ret, struct error **err)
{
	*ret = NULL;
	int r = json_get_string(body, "ssh_auth_sock", ret, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && (**ret != '/' || strlen(*ret) > SSH_PATH_MAX))
		return error_set(err, EINVAL, "\"ssh_auth_sock\" is not the path of a socket");
	return r;
}

/* The connection itself goes to the agent where that is possible, so that we are not in the way of
 * its bytes: nobody need hear of its end. Else, or with a stream opened already, a relay carries
 * them. Takes client, stream and what is in raw. */
static void connect_client(struct proxy *p, int client, int stream, struct buffer *raw, uint32_t ssh_agent)
{
	AUTO_ERROR struct error *err = NULL;
	int r = 0;
	if (stream < 0 && keeper_give(p->keeper, client, raw, &err) == 0) {
		buffer_done(raw);
		return;
	}
	error_clear(&err);
	if (stream < 0)
		r = keeper_open_stream(p->keeper, &stream, &err);
	if (r < 0) {
		log_warning("a connection is dropped: %s", error_text(err, r));
		fd_close(client);
	} else {
		keeper_relay(p->keeper, client, stream, raw, ssh_agent);
	}
	buffer_done(raw);
}

/* A socket that is not there, or no socket, is no reason to say anything: sessions without an agent
 * are usual. */
static void lend(struct keeper *k, const char *path, struct lending *ret)
{
	AUTO_ERROR struct error *err = NULL;
	int r = keeper_add_ssh_agent(k, path, &ret->id, &err);
	if (r < 0)
		log_info("%s", error_text(err, r));
	if (r == -EPERM)
		ret->refused = TAKE_PTR(err);
}

/* Sends the request inside. Takes stream. */
static void send_session(struct proxy *p, struct json_object *body, int rewrite, int stream, const struct lending *l)
{
	struct buffer raw;
	AUTO_JSON struct json_object *owned = json_object_get(body);
	AUTO_FD int to_agent = stream;
	int client;
	if (http_exchange_take(p->exchange, &client, &raw) < 0) {
		keeper_take_socket_back(p->keeper, l->id);
		return;
	}
	if (!rewrite || rewrite_session(&raw, owned, l) == 0) {
		connect_client(p, client, TAKE_FD(to_agent), &raw, l->id);
		return;
	}
	fd_close(client);
	keeper_take_socket_back(p->keeper, l->id);
	buffer_done(&raw);
}

static int connect_session(struct proxy *p, struct error **err)
{
	struct json_object *body = http_exchange_json(p->exchange, err);
	struct lending l = { 0 };
	const char *path;
	int stream = -1;
	if (!body)
		return -EINVAL;
	int64_t size = http_exchange_head(p->exchange)->content_length;
	int r = session_ssh_path(body, &path, err);
	if (r == 0 && size < 0)
		r = error_set(err, EINVAL, "a session needs a Content-Length");
	if (r < 0)
		return r;
	if (path)
		lend(p->keeper, path, &l);
	/* With an ssh-agent to relay, the keeper has to know when the session ends. */
	if (l.id || !keeper_can_give(p->keeper, (size_t)size + HTTP_HEAD_MAX))
		r = keeper_open_stream(p->keeper, &stream, err);
	if (r < 0)
		keeper_take_socket_back(p->keeper, l.id);
	else
		send_session(p, body, path != NULL, stream, &l);
	error_free(l.refused);
	return r;
}

static int connect_raw(struct proxy *p, struct error **err)
{
	struct buffer raw;
	AUTO_FD int stream = -1;
	int client, r = keeper_can_give(p->keeper, 0) ? 0 : keeper_open_stream(p->keeper, &stream, err);
	if (r < 0)
		return r;
	if (http_exchange_take(p->exchange, &client, &raw) == 0)
		connect_client(p, client, TAKE_FD(stream), &raw, 0);
	return 0;
}

static void on_ready(const struct keeper_failure *failure, void *data)
{
	struct proxy *p = data;
	AUTO_ERROR struct error *err = NULL;
	int r;
	http_exchange_on_closed(p->exchange, NULL, NULL);
	if (failure)
		r = error_set(&err, -failure->code, "%s", failure->text);
	else if (p->is_session && keeper_is_rescue(p->keeper))
		r = error_set(&err, EBUSY, "the machine is being exported; try again when that is done");
	else
		r = p->is_session ? connect_session(p, &err) : connect_raw(p, &err);
	if (r < 0)
		http_respond_error(p->exchange, r, err);
	free(p);
}

static void on_closed(void *data)
{
	struct proxy *p = data;
	keeper_wait_cancel(p->waiter);
	free(p);
}

static void proxy(struct http_exchange *x, struct keeper *k, int is_session)
{
	static const struct keeper_wait_events events = { .done = on_ready };
	struct proxy *p = xnew(struct proxy);
	*p = (struct proxy){ .keeper = k, .exchange = x, .is_session = is_session };
	http_exchange_on_closed(x, on_closed, p);
	struct keeper_waiter *w = keeper_wait(k, KEEPER_LEVEL_SESSION, &events, p);
	if (w)
		p->waiter = w;
}

void api_post_session(struct http_exchange *x, void *data)
{
	proxy(x, data, 1);
}

void api_hand_over(struct http_exchange *x, void *data)
{
	proxy(x, data, 0);
}
