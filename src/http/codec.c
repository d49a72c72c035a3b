/* SPDX-License-Identifier: Apache-2.0
 * The parser of request and response heads (RFC 9112 2-6). Pure: bytes in, a struct out.
 *
 * It is strict where leniency has a history of smuggling: lines end in CRLF, no folding, no blank
 * before a colon, one length only, and no transfer coding but "chunked". */
#include <errno.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "http/internal.h"

void http_head_done(struct http_head *h)
{
	free(h->method);
	free(h->target);
	for (size_t i = 0; i < h->header_count; i++) {
		free(h->headers[i].name);
		free(h->headers[i].value);
	}
	*h = (struct http_head){ .content_length = -1 };
}

const char *http_head_get(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->header_count; i++)
		if (strcasecmp(h->headers[i].name, name) == 0)
			return h->headers[i].value;
	return NULL;
}

static int is_token_character(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *s, size_t size)
{
	size_t n = 0;
	while (n < size && is_token_character((unsigned char)s[n]))
		n++;
	return n;
}

/* "HTTP/1.x": the minor version, or -1. */
static int parse_version(const char *s, size_t size)
{
	return size == 8 && memcmp(s, "HTTP/1.", 7) == 0 && s[7] >= '0' && s[7] <= '9' ? s[7] - '0' : -1;
}

static int parse_request_line(const char *line, size_t size, struct http_head *h, struct error **err)
{
	size_t method = token_length(line, size);
	if (method == 0 || method > 32 || method == size || line[method] != ' ')
		return error_set(err, EBADMSG, "not an HTTP request");
	const char *target = line + method + 1;
	size_t left = size - method - 1, n = 0;
	while (n < left && (unsigned char)target[n] > ' ' && (unsigned char)target[n] < 0x7f)
		n++;
	if (n == 0 || target[0] != '/' || n == left || target[n] != ' ')
		return error_set(err, EBADMSG, "malformed target of an HTTP request");
	h->minor = parse_version(target + n + 1, left - n - 1);
	if (h->minor < 0)
		return error_set(err, EBADMSG, "unknown HTTP version");
	h->method = xstrndup(line, method);
	h->target = xstrndup(target, n);
	return 0;
}

static int parse_status_line(const char *line, size_t size, struct http_head *h, struct error **err)
{
	h->minor = size >= 12 ? parse_version(line, 8) : -1;
	if (h->minor < 0 || line[8] != ' ' || (size > 12 && line[12] != ' '))
		return error_set(err, EBADMSG, "not an HTTP answer");
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return error_set(err, EBADMSG, "malformed status of an HTTP answer");
		h->status = h->status * 10 + (line[i] - '0');
	}
	return h->status < 100 ? error_set(err, EBADMSG, "malformed status of an HTTP answer") : 0;
}

static int parse_header_line(const char *line, size_t size, struct http_head *h, struct error **err)
{
	size_t name = token_length(line, size);
	if (name == 0 || name == size || line[name] != ':')
		return error_set(err, EBADMSG, "malformed HTTP header");
	if (h->header_count == HTTP_HEADERS_MAX)
		return error_set(err, EMSGSIZE, "more than %d HTTP headers", HTTP_HEADERS_MAX);
	const char *value = line + name + 1;
	size_t n = size - name - 1;
	while (n && (*value == ' ' || *value == '\t'))
		value++, n--;
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
			return error_set(err, EBADMSG, "control character in an HTTP header");
	h->headers[h->header_count++] =
	    (struct http_header){ .name = xstrndup(line, name), .value = xstrndup(value, n) };
	return 0;
}

/* Whether a comma-separated list has this word. */
static int list_has(const char *list, const char *word)
{
	size_t n = strlen(word);
	while (*list) {
		list += strspn(list, " \t,");
		size_t length = strcspn(list, " \t,");
		if (length == n && strncasecmp(list, word, n) == 0)
			return 1;
		list += length;
	}
	return 0;
}

static int interpret_length(const char *value, struct http_head *h, struct error **err)
{
	uint64_t n;
	if (parse_u64(value, &n) < 0 || n > INT64_MAX)
		return error_set(err, EBADMSG, "malformed Content-Length");
	if (h->content_length >= 0 && (uint64_t)h->content_length != n)
		return error_set(err, EBADMSG, "two different Content-Length headers");
	h->content_length = (int64_t)n;
	return 0;
}

static int interpret_header(const struct http_header *header, struct http_head *h, int *connection, struct error **err)
{
	enum { CLOSE = 1, KEEP = 2, UPGRADE = 4 };
	const char *value = header->value;
	if (strcasecmp(header->name, "content-length") == 0)
		return interpret_length(value, h, err);
	if (strcasecmp(header->name, "transfer-encoding") == 0) {
		if (h->chunked || strcasecmp(value, "chunked") != 0)
			return error_set(err, EBADMSG, "a transfer coding other than \"chunked\"");
		h->chunked = 1;
	} else if (strcasecmp(header->name, "connection") == 0) {
		*connection |= (list_has(value, "close") ? CLOSE : 0) | (list_has(value, "keep-alive") ? KEEP : 0) |
			       (list_has(value, "upgrade") ? UPGRADE : 0);
	}
	return 0;
}

static int interpret_headers(struct http_head *h, struct error **err)
{
	int connection = 0;
	for (size_t i = 0; i < h->header_count; i++) {
		int r = interpret_header(&h->headers[i], h, &connection, err);
		if (r < 0)
			return r;
	}
	if (h->chunked && (h->content_length >= 0 || h->minor == 0))
		return error_set(err, EBADMSG, "both Transfer-Encoding and Content-Length");
	h->keep_alive = !(connection & 1) && (h->minor > 0 || connection & 2);
	h->upgrade = connection & 4 && http_head_get(h, "upgrade");
	return 0;
}

typedef int (*first_line_fn)(const char *line, size_t size, struct http_head *h, struct error **err);

static int parse_lines(const char *data, size_t size, first_line_fn first, struct http_head *h, struct error **err)
{
	for (size_t at = 0, line = 0; at < size; line++) {
		const char *end = memmem(data + at, size - at, "\r\n", 2);
		size_t n = (size_t)(end - data) - at;
		int r = line == 0 ? first(data + at, n, h, err) : parse_header_line(data + at, n, h, err);
		if (r < 0)
			return r;
		at += n + 2;
	}
	return interpret_headers(h, err);
}

static ssize_t parse_head(const char *data, size_t size, first_line_fn first, struct http_head *ret, struct error **err)
{
	const char *end = memmem(data, MIN(size, (size_t)HTTP_HEAD_MAX), "\r\n\r\n", 4);
	*ret = (struct http_head){ .content_length = -1 };
	if (!end)
		return size < HTTP_HEAD_MAX ?
			   -EAGAIN :
			   error_set(err, EMSGSIZE, "an HTTP head of more than %d bytes", HTTP_HEAD_MAX);
	size_t taken = (size_t)(end - data) + 4;
	AUTO_HTTP_HEAD struct http_head h = { .content_length = -1 };
	int r = parse_lines(data, taken - 2, first, &h, err);
	if (r < 0)
		return r;
	*ret = h;
	h = (struct http_head){ .content_length = -1 };
	return (ssize_t)taken;
}

ssize_t http_parse_request(const char *data, size_t size, struct http_head *ret, struct error **err)
{
	return parse_head(data, size, parse_request_line, ret, err);
}

ssize_t http_parse_response(const char *data, size_t size, struct http_head *ret, struct error **err)
{
	return parse_head(data, size, parse_status_line, ret, err);
}
