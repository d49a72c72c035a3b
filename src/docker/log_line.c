/* SPDX-License-Identifier: Apache-2.0
 * Lines of a log: see log.h. The form is fixed, so the parser knows this form of JSON alone. */
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "docker/log.h"

enum { TIME_MAX = 64 };

static const char *const stream_names[] = { [DOCKER_STDOUT] = "stdout", [DOCKER_STDERR] = "stderr" };

/* The second letter of the two-letter escapes of JSON, by byte; 0: none. */
static char short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static size_t escape(char *to, const char *text, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char *at = to;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		char second = short_escape(c);
		if (second) {
			*at++ = '\\';
			*at++ = second;
		} else if (c < 0x20) {
			memcpy(at, "\\u00", 4);
			at[4] = digits[c >> 4];
			at[5] = digits[c & 15];
			at += 6;
		} else {
			*at++ = (char)c;
		}
	}
	return (size_t)(at - to);
}

int docker_log_format(struct buffer *out, const struct docker_log_entry *e)
{
	AUTOFREE char *time = clock_format_rfc3339(e->time_ns);
	char *to = e->size > DOCKER_LOG_TEXT_MAX ? NULL : buffer_reserve(out, DOCKER_LOG_LINE_MAX);
	if (!to)
		return -ENOBUFS;
	static const char begin[] = "{\"log\":\"", middle[] = "\",\"stream\":\"", last[] = "\",\"time\":\"",
			  end[] = "\"}\n";
	char *at = to;
	at = mempcpy(at, begin, strlen(begin));
	at += escape(at, e->text, e->size);
	at = mempcpy(at, middle, strlen(middle));
	at = mempcpy(at, stream_names[e->stream], strlen(stream_names[e->stream]));
	at = mempcpy(at, last, strlen(last));
	at = mempcpy(at, time, strlen(time));
	at = mempcpy(at, end, strlen(end));
	buffer_commit(out, (size_t)(at - to));
	return 0;
}

struct cursor {
	const char *at, *end;
};

static int skip(struct cursor *c, const char *text)
{
	size_t n = strlen(text);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
		return 0;
	c->at += n;
	return 1;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape stands for, behind its backslash; -1. */
static int unescape(struct cursor *c)
{
	static const char letters[] = "\"\\nrt", bytes[] = "\"\\\n\r\t";
	if (c->at == c->end)
		return -1;
	char letter = *c->at++;
	const char *known = letter ? strchr(letters, letter) : NULL;
	if (known)
		return (unsigned char)bytes[known - letters];
	if (letter != 'u' || !skip(c, "00") || c->end - c->at < 2)
		return -1;
	int high = hex_value(c->at[0]), low = hex_value(c->at[1]);
	c->at += 2;
	return high < 0 || low < 0 || high > 1 ? -1 : high << 4 | low;
}

static int parse_text(struct cursor *c, char *text, size_t *ret_size)
{
	size_t n = 0;
	while (c->at < c->end && *c->at != '"') {
		int byte = (unsigned char)*c->at++;
		if (byte == '\\')
			byte = unescape(c);
		if (byte < 0 || n == DOCKER_LOG_TEXT_MAX)
			return -EBADMSG;
		text[n++] = (char)byte;
	}
	*ret_size = n;
	return 0;
}

static int parse_stream(struct cursor *c, enum docker_stream *ret)
{
	for (int i = DOCKER_STDOUT; i <= DOCKER_STDERR; i++) {
		*ret = (enum docker_stream)i;
		if (skip(c, stream_names[i]))
			return 0;
	}
	return -EBADMSG;
}

static int parse_time(struct cursor *c, int64_t *ret)
{
	char text[TIME_MAX];
	size_t n = 0;
	while (c->at < c->end && *c->at != '"' && n < sizeof text - 1)
		text[n++] = *c->at++;
	text[n] = '\0';
	return clock_parse_rfc3339(text, ret) < 0 ? -EBADMSG : 0;
}

int docker_log_parse(const char *line, size_t size, char *text, struct docker_log_entry *ret)
{
	struct cursor c = { line, line + size };
	struct docker_log_entry e = { .text = text };
	if (!skip(&c, "{\"log\":\"") || parse_text(&c, text, &e.size) < 0 || !skip(&c, "\",\"stream\":\"") ||
	    parse_stream(&c, &e.stream) < 0 || !skip(&c, "\",\"time\":\"") || parse_time(&c, &e.time_ns) < 0 ||
	    !skip(&c, "\"}") || c.at != c.end)
		return -EBADMSG;
	*ret = e;
	return 0;
}
