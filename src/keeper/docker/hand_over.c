/* SPDX-License-Identifier: Apache-2.0
 * The way of a request to the engine: the connection itself where the transport carries
 * descriptors, else a relay. In front of the client's request stands one to the agent, POST
 * /v1/engine, which the agent takes off. The engine answers one request and closes: the next one
 * may be the keeper's, and comes on a new connection. */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/docker/private.h"

static const char envelope[] = DOCKER_ENVELOPE;

/* Takes client and raw. */
static void connect_client(struct keeper *k, int client, struct buffer *raw, int upgrade)
{
	AUTO_ERROR struct error *err = NULL;
	int stream = -1;
	if (keeper_can_give(k, raw->size) && keeper_give(k, client, raw, NULL) == 0) {
		buffer_done(raw);
		return;
	}
	int r = keeper_open_stream(k, &stream, &err);
	if (r < 0) {
		log_warning("a connection is dropped: %s", error_text(err, r));
		fd_close(client);
	} else if (upgrade) {
		keeper_relay_upgrade(k, client, stream, raw);
	} else {
		keeper_relay(k, client, stream, raw, 0);
	}
	buffer_done(raw);
}

/* The request again, with "Connection: close" in the place of whatever it had, unless it asks for
 * an upgrade. */
static int write_request(struct buffer *out, const struct http_head *head, const char *target, const char *body,
    size_t size)
{
	int r = buffer_append_string(out, envelope);
	if (r == 0)
		r = buffer_appendf(out, "%s %s HTTP/1.1\r\nHost: docker\r\n", head->method,
		    target ? target : head->target);
	if (r == 0 && head->upgrade)
		r = buffer_appendf(out, "Connection: Upgrade\r\nUpgrade: %s\r\n", http_head_get(head, "upgrade"));
	else if (r == 0)
		r = buffer_append_string(out, "Connection: close\r\n");
	if (r == 0)
		r = buffer_appendf(out, "Content-Length: %zu\r\n\r\n", size);
	return r == 0 && size ? buffer_append(out, body, size) : r;
}

static int write_all(struct buffer *out, struct buffer *raw, const char *target, struct json_object *body)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	AUTO_BUFFER struct buffer sent = { 0 };
	if (http_parse_request(raw->data, raw->size, &head, NULL) < 0)
		return -EBADMSG;
	if (streq(head.method, "PUT")) { /* its body is a stream, and still comes */
		int begun = buffer_append_string(out, envelope);
		return begun == 0 ? buffer_append(out, raw->data, raw->size) : begun;
	}
	buffer_init(&sent, HTTP_BODY_MAX);
	int r = http_cut_request(raw, &sent);
	if (r < 0)
		return r;
	size_t size = sent.size;
	const char *text = body ? json_object_to_json_string_length(body,
				      JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size) :
				  sent.data;
	r = write_request(out, &head, target, text, size);
	return r == 0 && raw->size ? buffer_append(out, raw->data, raw->size) : r;
}

void docker_hand_over(struct docker_request *q, struct json_object *body)
{
	AUTO_BUFFER struct buffer raw = { 0 };
	struct buffer out;
	int client = -1, upgrade = q->exchange && http_exchange_head(q->exchange)->upgrade;
	if (q->exchange && http_exchange_take(q->exchange, &client, &raw) == 0) {
		buffer_init(&out, raw.size + 2 * HTTP_BODY_MAX);
		if (write_all(&out, &raw, q->target, body) == 0) {
			connect_client(q->keeper, client, &out, upgrade);
		} else {
			fd_close(client);
			buffer_done(&out);
		}
		q->exchange = NULL;
	}
	docker_request_free(q);
}
