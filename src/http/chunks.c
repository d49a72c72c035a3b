/* SPDX-License-Identifier: Apache-2.0
 * The chunked transfer coding (RFC 9112 7.1), decoded in place by a small state machine. Extensions
 * and trailers are skipped. `state` holds the step in its low byte and, above it, how many bytes
 * the present line (or all trailers) took so far. */
#include <errno.h>

#include "http/http.h"

enum step {
	SIZE_FIRST,
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_FIRST,
	TRAILER,
	TRAILER_LF,
	END_LF,
	DONE,
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int step_size(struct http_chunks *c, int step, char in)
{
	int value = hex_value(in);
	if (value >= 0) {
		if (c->left > (UINT64_MAX >> 5))
			return -EBADMSG;
		c->left = c->left << 4 | (uint64_t)value;
		return SIZE;
	}
	if (step == SIZE_FIRST)
		return -EBADMSG;
	if (in == '\r')
		return SIZE_LF;
	return in == ';' || in == ' ' || in == '\t' ? EXTENSION : -EBADMSG;
}

/* The step after this byte of a line, or -EBADMSG. */
static int step_byte(struct http_chunks *c, int step, char in)
{
	switch (step) {
	case SIZE_FIRST:
	case SIZE:
		return step_size(c, step, in);
	case EXTENSION:
		return in == '\r' ? SIZE_LF : in == '\n' ? -EBADMSG : EXTENSION;
	case SIZE_LF:
		return in != '\n' ? -EBADMSG : c->left ? DATA : TRAILER_FIRST;
	case DATA_CR:
		return in == '\r' ? DATA_LF : -EBADMSG;
	case DATA_LF:
		return in == '\n' ? SIZE_FIRST : -EBADMSG;
	case TRAILER_FIRST:
		return in == '\r' ? END_LF : in == '\n' ? -EBADMSG : TRAILER;
	case TRAILER:
		return in == '\r' ? TRAILER_LF : in == '\n' ? -EBADMSG : TRAILER;
	case TRAILER_LF:
		return in == '\n' ? TRAILER_FIRST : -EBADMSG;
	case END_LF:
		return in == '\n' ? DONE : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

int http_chunks_feed(struct http_chunks *c, const char *in, size_t in_size, size_t *ret_used, const char **ret_data,
    size_t *ret_data_size)
{
	size_t at = 0;
	int step = c->state & 0xff, line = c->state >> 8;
	*ret_used = 0;
	*ret_data = in;
	*ret_data_size = 0;
	while (at < in_size && step != DONE && step != DATA) {
		int next = step_byte(c, step, in[at++]);
		if (next < 0 || ++line > HTTP_CHUNK_LINE_MAX)
			return -EBADMSG;
		if (next == DATA || (next == SIZE_FIRST && step == DATA_LF))
			line = 0;
		step = next;
	}
	if (step == DATA && at < in_size) {
		size_t n = MIN(c->left, in_size - at);
		*ret_data = in + at;
		*ret_data_size = n;
		c->left -= n;
		at += n;
		step = c->left ? DATA : DATA_CR;
	}
	c->state = line << 8 | step;
	*ret_used = at;
	return step == DONE;
}
