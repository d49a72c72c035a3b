/* SPDX-License-Identifier: Apache-2.0
 * One HTTP exchange by libcurl. */
#include "image/registry/request.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/printable.h"
#include "image/common/interrupt.h"
#include "image/registry/near.h"
#include "oci/reference.h"

enum {
	CONNECT_TIMEOUT_MS = 15000,
	SILENCE_S = 60,
	BUFFER_SIZE = 256 << 10,
	MESSAGE_MAX = 200,
	RETRY_AFTER_MAX_S = 86400,
};

static char *header_value(const char *line, size_t size, const char *name)
{
	size_t n = strlen(name);
	if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	for (n++; n < size && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (size > n && isspace((unsigned char)line[size - 1]))
		size--;
	return xstrndup(line + n, size - n);
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static int64_t parse_retry_after(const char *value)
{
	uint64_t seconds;
	if (parse_u64(value, &seconds) == 0)
		return (int64_t)MIN(seconds, (uint64_t)RETRY_AFTER_MAX_S) * 1000;
	time_t when = curl_getdate(value, NULL);
	if (when < 0)
		return -1;
	int64_t left = (int64_t)when - (int64_t)time(NULL);
	return MAX(0, MIN(left, RETRY_AFTER_MAX_S)) * 1000;
}

static void replace(char **slot, char *value)
{
	free(*slot);
	*slot = value;
}

static void reset_answer(struct request *q)
{
	replace(&q->location, NULL);
	replace(&q->content_type, NULL);
	replace(&q->content_digest, NULL);
	q->retry_after_ms = -1;
	q->range_start = q->range_end = UINT64_MAX;
	q->chunk_min = 0;
	q->headers_ended = 0;
	challenge_done(&q->challenge);
}

/* "bytes 100-199/200" */
static uint64_t parse_range_start(const char *value)
{
	uint64_t start;
	const char *p = startswith(value, "bytes ");
	if (!p)
		return UINT64_MAX;
	AUTOFREE char *number = xstrndup(p, strcspn(p, "-"));
	return parse_u64(number, &start) == 0 ? start : UINT64_MAX;
}

/* "0-1023", with or without "bytes=" in front. */
static uint64_t parse_range_end(const char *value)
{
	uint64_t end;
	const char *dash = strrchr(value, '-');
	return dash && parse_u64(dash + 1, &end) == 0 ? end : UINT64_MAX;
}

/* Takes the headers of answers to uploads. */
static void on_upload_header(struct request *q, const char *line, size_t size)
{
	AUTOFREE char *range = header_value(line, size, "Range"),
		      *minimum = header_value(line, size, "OCI-Chunk-Min-Length");
	if (range)
		q->range_end = parse_range_end(range);
	if (minimum)
		(void)parse_u64(minimum, &q->chunk_min);
}

static size_t on_header(char *line, size_t one, size_t size, void *data)
{
	struct request *q = data;
	char *value;
	if (size > REQUEST_HEADER_MAX)
		return size;
	if (size > 5 && memcmp(line, "HTTP/", 5) == 0)
		reset_answer(q);
	else if (size <= 2 && (*line == '\r' || *line == '\n'))
		q->headers_ended = 1;
	else if ((value = header_value(line, size, "Location")))
		replace(&q->location, value);
	else if ((value = header_value(line, size, "Content-Type")))
		replace(&q->content_type, value);
	else if ((value = header_value(line, size, "Docker-Content-Digest")))
		replace(&q->content_digest, value);
	else if ((value = header_value(line, size, "WWW-Authenticate"))) {
		challenge_parse(value, strlen(value), &q->challenge);
		free(value);
	} else if ((value = header_value(line, size, "Retry-After"))) {
		q->retry_after_ms = parse_retry_after(value);
		free(value);
	} else if ((value = header_value(line, size, "Content-Range"))) {
		q->range_start = parse_range_start(value);
		free(value);
	} else {
		on_upload_header(q, line, size);
	}
	return size;
}

static size_t on_write(char *body, size_t one, size_t size, void *data)
{
	struct request *q = data;
	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &q->status);
	if (q->status != 200 && q->status != 206) {
		buffer_append(&q->error_body, body, MIN(size, REQUEST_ERROR_BODY_MAX - q->error_body.size));
		return size;
	}
	return q->on_body(q, body, size, &q->error) < 0 ? CURL_WRITEFUNC_ERROR : size;
}

/* The next bytes of the body. */
static size_t on_read(char *to, size_t one, size_t size, void *data)
{
	struct request *q = data;
	struct request_body *b = q->body;
	size_t n = MIN(size, b->size - b->sent);
	ssize_t got = (ssize_t)n;
	if (b->fd < 0)
		memcpy(to, b->memory + b->start + b->sent, n);
	else if (n > 0)
		got = pread(b->fd, to, n, (off_t)(b->start + b->sent));
	if (got < 0 || (n > 0 && got == 0)) {
		error_set_errno(&q->error, got < 0 ? errno : EIO, "cannot read the bytes to send");
		return CURL_READFUNC_ABORT;
	}
	b->sent += got;
	if (b->on_sent)
		b->on_sent(b, b->data);
	return got;
}

/* libcurl sends the body again, on a new connection. */
static int on_seek(void *data, curl_off_t offset, int origin)
{
	struct request *q = data;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > q->body->size)
		return CURL_SEEKFUNC_FAIL;
	q->body->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	return interrupt_check(NULL) < 0;
}

/* libcurl has connected and has sent nothing yet. */
static int before_request(void *data, char *peer, char *own, int peer_port, int own_port)
{
	struct request *q = data;
	q->peer_refused = near_address(peer);
	return q->peer_refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void set_policy(CURL *easy, const struct request_options *o)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "holm/" HOLM_VERSION);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)(o->min_rate ? o->min_rate : 1));
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(o->silence_s ? o->silence_s : SILENCE_S));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)o->timeout_s);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	if (o->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	/* The library does not look at the variables that the curl program honours. */
	const char *ca_file = o->ca_file ? o->ca_file : getenv("SSL_CERT_FILE");
	if (ca_file && *ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	AUTOFREE char *host = request_url_part(o->url, CURLUPART_HOST);
	if (host && reference_registry_is_loopback(host))
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static void add_header(struct request *q, const char *name, const char *value)
{
	AUTOFREE char *line = value ? xasprintf("%s: %s", name, value) : NULL;
	if (line)
		q->headers = curl_slist_append(q->headers, line);
}

static void set_body(struct request *q, const struct request_options *o)
{
	q->body = o->body;
	q->body->sent = 0;
	curl_easy_setopt(q->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(q->easy, CURLOPT_CUSTOMREQUEST, o->method);
	curl_easy_setopt(q->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)o->body->size);
	curl_easy_setopt(q->easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(q->easy, CURLOPT_READDATA, q);
	curl_easy_setopt(q->easy, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(q->easy, CURLOPT_SEEKDATA, q);
	curl_easy_setopt(q->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_SIZE);
}

static void set_method(struct request *q, const struct request_options *o)
{
	if (streq(o->method, "HEAD")) {
		curl_easy_setopt(q->easy, CURLOPT_NOBODY, 1L);
	} else if (streq(o->method, "POST")) {
		curl_easy_setopt(q->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(q->easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(q->easy, CURLOPT_COPYPOSTFIELDS, "");
	} else if (o->method) {
		set_body(q, o);
	}
}

static void set_headers(struct request *q, const struct request_options *o)
{
	AUTOFREE char *range = o->offset > 0 ? xasprintf("%llu-", (unsigned long long)o->offset) : NULL;
	add_header(q, "Authorization", o->authorization);
	add_header(q, "Accept", o->accept);
	add_header(q, "Content-Type", o->content_type);
	add_header(q, "Content-Range", o->content_range);
	curl_easy_setopt(q->easy, CURLOPT_HTTPHEADER, q->headers);
	if (range)
		curl_easy_setopt(q->easy, CURLOPT_RANGE, range);
	if (o->post)
		curl_easy_setopt(q->easy, CURLOPT_COPYPOSTFIELDS, o->post);
}

int request_init(struct request *q, const struct request_options *o, struct error **err)
{
	q->easy = curl_easy_init();
	if (!q->easy)
		return error_set(err, ENOMEM, "libcurl cannot start a request");
	q->status = 0;
	q->peer_refused = 0;
	q->curl_error[0] = '\0';
	buffer_init(&q->error_body, REQUEST_ERROR_BODY_MAX);
	reset_answer(q);
	set_policy(q->easy, o);
	set_headers(q, o);
	set_method(q, o);
	if (o->far_only && !near_proxy_is_set()) {
		curl_easy_setopt(q->easy, CURLOPT_PREREQFUNCTION, before_request);
		curl_easy_setopt(q->easy, CURLOPT_PREREQDATA, q);
	}
	curl_easy_setopt(q->easy, CURLOPT_URL, o->url);
	curl_easy_setopt(q->easy, CURLOPT_PRIVATE, q);
	curl_easy_setopt(q->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(q->easy, CURLOPT_HEADERDATA, q);
	curl_easy_setopt(q->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(q->easy, CURLOPT_WRITEDATA, q);
	curl_easy_setopt(q->easy, CURLOPT_ERRORBUFFER, q->curl_error);
	return 0;
}

void request_done(struct request *q)
{
	curl_easy_cleanup(q->easy);
	curl_slist_free_all(q->headers);
	q->easy = NULL;
	q->headers = NULL;
	q->body = NULL;
	reset_answer(q);
	buffer_done(&q->error_body);
	error_clear(&q->error);
}

CURLcode request_perform(struct request *q)
{
	CURLcode code = curl_easy_perform(q->easy);
	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &q->status);
	return code;
}

int request_peer_is_near(struct request *q)
{
	const char *peer = NULL;
	return !near_proxy_is_set() && curl_easy_getinfo(q->easy, CURLINFO_PRIMARY_IP, &peer) == CURLE_OK && peer &&
	       near_address(peer);
}

char *request_error_message(struct request *q)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *errors = NULL, *first;
	const char *message = NULL;
	if (q->error_body.size == 0 || json_parse(q->error_body.data, q->error_body.size, "answer", &o, NULL) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return xstrdup("");
	if (json_get_array(o, "errors", &errors, NULL) == 0 && (first = json_object_array_get_idx(errors, 0)) &&
	    json_object_is_type(first, json_type_object)) {
		if (json_get_string(first, "message", &message, NULL) < 0)
			(void)json_get_string(first, "code", &message, NULL);
	} else if (json_get_string(o, "details", &message, NULL) < 0) {
		(void)json_get_string(o, "error", &message, NULL);
	}
	if (!message || !*message)
		return xstrdup("");
	AUTOFREE char *text = printable_copy(message, strlen(message), MESSAGE_MAX);
	return xasprintf(" (%s)", text);
}

char *request_url_part(const char *url, CURLUPart part)
{
	char *value = NULL, *copy = NULL;
	CURLU *u = curl_url();
	if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, part, &value, CURLU_DEFAULT_PORT) == CURLUE_OK)
		copy = xstrdup(value);
	curl_free(value);
	curl_url_cleanup(u);
	return copy;
}

int request_same_origin(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		AUTOFREE char *x = request_url_part(a, parts[i]), *y = request_url_part(b, parts[i]);
		if (!x || !y || strcasecmp(x, y) != 0)
			return 0;
	}
	return 1;
}

char *request_resolve(const char *base, const char *location)
{
	char *value = NULL, *copy = NULL;
	CURLU *u = curl_url();
	if (curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &value, 0) == CURLUE_OK &&
	    (startswith(value, "https://") || startswith(value, "http://")))
		copy = xstrdup(value);
	curl_free(value);
	curl_url_cleanup(u);
	return copy;
}
