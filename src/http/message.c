/* SPDX-License-Identifier: Apache-2.0
 * Messages of server and clients, and the conversion of a failed answer to an error. */
#include <errno.h>

#include "base/alloc.h"
#include "base/printable.h"
#include "http/internal.h"

static int is_sendable(const char *target)
{
	for (const char *c = target; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return 0;
	return target[0] == '/';
}

int http_append_request(struct buffer *out, const char *method, const char *target, const char *upgrade,
    struct json_object *body)
{
	if (!is_sendable(target))
		return -EINVAL;
	const char *text =
	    body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	int r = buffer_appendf(out, "%s %s HTTP/1.1\r\nHost: holm\r\n", method, target);
	if (r == 0 && upgrade)
		r = buffer_appendf(out, "Connection: Upgrade\r\nUpgrade: %s\r\n", upgrade);
	if (r == 0 && text)
		r = buffer_appendf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(text));
	if (r == 0)
		r = buffer_append_string(out, "\r\n");
	return r == 0 && text ? buffer_append_string(out, text) : r;
}

static const struct {
	int status;
	const char *text;
} status_texts[] = {
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 204, "No Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 413, "Content Too Large" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};

const char *http_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_texts); i++)
		if (status_texts[i].status == status)
			return status_texts[i].text;
	return status < 400 ? "OK" : "Error";
}

const char *http_code_name(int code)
{
	const char *name = strerrorname_np(code < 0 ? -code : code);
	return name ? name : "EIO";
}

int http_code_from_name(const char *name)
{
	for (int code = 1; code < 256; code++)
		if (streq(strerrorname_np(code), name))
			return code;
	return 0;
}

int http_answer_has_body(const struct http_head *h)
{
	return h->status >= 200 && h->status != 204 && h->status != 304 && h->content_length != 0;
}

/* Bounded, whatever the other side sent. */
static void set_error_line(int code, const char *text, struct error **err)
{
	enum { TEXT_MAX = 4095 };
	AUTOFREE char *line = printable_copy(text, strlen(text), TEXT_MAX);
	error_set(err, code, "%s", line);
}

int http_error_from_answer(int status, const char *body, size_t size, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	const char *text = NULL, *name = NULL;
	int code = error_from_http_status(status);
	if (size && json_parse_bytes(body, size, "answer", &o, NULL) == 0 && json_object_is_type(o, json_type_object)) {
		if (json_get_string(o, "error", &text, NULL) < 0)
			json_get_string(o, "message", &text, NULL);
		json_get_string(o, "code", &name, NULL);
	}
	int named = name ? http_code_from_name(name) : 0;
	code = named ? named : code > 0 ? code : EIO;
	if (text && *text)
		set_error_line(code, text, err);
	else
		error_set(err, code, "answered with HTTP status %d (%s)", status, http_status_text(status));
	return -code;
}

int http_cut_request(struct buffer *raw, struct buffer *body)
{
	AUTO_HTTP_HEAD struct http_head head = { 0 };
	ssize_t size = http_parse_request(raw->data, raw->size, &head, NULL);
	if (size < 0)
		return -EBADMSG;
	buffer_consume(raw, (size_t)size);
	struct http_chunks chunks = { 0 };
	for (int done = !head.chunked; !done;) {
		const char *data;
		size_t used, part;
		done = http_chunks_feed(&chunks, raw->data, raw->size, &used, &data, &part);
		if (done < 0 || (!done && !used) || (body && part && buffer_append(body, data, part) < 0))
			return -EBADMSG;
		buffer_consume(raw, used);
	}
	size_t length = head.content_length > 0 ? (size_t)head.content_length : 0;
	if (length > raw->size || (body && length && buffer_append(body, raw->data, length) < 0))
		return -EBADMSG;
	buffer_consume(raw, length);
	return 0;
}
