/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include <stdint.h>
#include <stdio.h>

#include "base/alloc.h"

enum { CHARACTER_MAX = 4 };

/* First bytes of UTF-8, and the range of the byte that follows (RFC 3629, section 4). */
static const struct {
	unsigned char first, last, size, next_min, next_max;
} sequences[] = {
	{ 0x00, 0x7f, 1, 0, 0 },
	{ 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f },
	{ 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf },
	{ 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

/* Invisible characters, and those that move visible ones. Variation selectors stay: they belong to
 * the character before them. */
static const struct {
	uint32_t first, last;
} formats[] = {
	{ 0xad, 0xad },
	{ 0x61c, 0x61c },
	{ 0x180e, 0x180e },
	{ 0x200b, 0x200f },
	{ 0x2028, 0x202e },
	{ 0x2060, 0x206f },
	{ 0xfeff, 0xfeff },
	{ 0xfff9, 0xfffb },
	{ 0x1d173, 0x1d17a },
	{ 0xe0000, 0xe0fff },
};

/* Decodes the character at p, where `left` bytes are. Returns its size, 0 if the text ends in the
 * middle of it, -1 if it is no UTF-8. */
static int decode(const unsigned char *p, size_t left, uint32_t *ret)
{
	size_t i = 0;
	while (i < ARRAY_SIZE(sequences) && (*p < sequences[i].first || *p > sequences[i].last))
		i++;
	if (i == ARRAY_SIZE(sequences))
		return -1;
	int size = sequences[i].size;
	uint32_t value = size == 1 ? *p : *p & (0x7fU >> size);
	for (int k = 1; k < size; k++) {
		unsigned char from = k == 1 ? sequences[i].next_min : 0x80, to = k == 1 ? sequences[i].next_max : 0xbf;
		if ((size_t)k == left)
			return 0;
		if (p[k] < from || p[k] > to)
			return -1;
		value = value << 6 | (p[k] & 0x3f);
	}
	*ret = value;
	return size;
}

static int is_control(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

static int is_kept(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (c >= formats[i].first && c <= formats[i].last)
			return 0;
	return !is_control(c);
}

char *printable(char *text)
{
	const char *from = text, *end = text + strlen(text);
	char *to = text;
	while (from < end) {
		uint32_t c = 0;
		int n = decode((const unsigned char *)from, (size_t)(end - from), &c);
		if (n == 0)
			break;
		if (n > 0 && is_kept(c)) {
			memmove(to, from, (size_t)n);
			to += n;
		} else {
			*to++ = n > 0 && is_control(c) ? ' ' : '?';
		}
		from += MAX(n, 1);
	}
	*to = '\0';
	return text;
}

char *printable_copy(const char *text, size_t size, size_t max)
{
	return printable(xstrndup(text, MIN(size, max)));
}

/* Writes \uXXXX, two of them above U+FFFF (RFC 8259, section 7). Returns the bytes written. */
static size_t escape(char *to, uint32_t c)
{
	if (c < 0x10000)
		return (size_t)snprintf(to, 6 + 1, "\\u%04x", (unsigned)c);
	c -= 0x10000;
	return (size_t)snprintf(to, 12 + 1, "\\u%04x\\u%04x", (unsigned)(0xd800 + (c >> 10)),
	    (unsigned)(0xdc00 + (c & 0x3ff)));
}

/* The number of printable ASCII characters that the text begins with: most have no others. */
static size_t plain_size(const char *text)
{
	size_t size = 0;
	while (text[size] >= ' ' && text[size] <= '~')
		size++;
	return size;
}

char *printable_json(const char *text)
{
	enum { ESCAPE = 6 }; /* bytes for one of the text, at most */
	size_t left = strlen(text), size = 0;
	char *copy = xmalloc(left * ESCAPE + 1);
	while (left) {
		size_t used = plain_size(text);
		memcpy(copy + size, text, used);
		size += used;
		text += used;
		left -= used;
		if (!left)
			break;
		uint32_t c = 0xfffd;
		int n = decode((const unsigned char *)text, left, &c);
		used = (size_t)MAX(n, 1);
		/* the white space of the document: others are escaped in JSON */
		if (n > 0 && (c < ' ' || is_kept(c))) {
			memcpy(copy + size, text, used);
			size += used;
		} else {
			size += escape(copy + size, c);
		}
		text += used;
		left -= used;
	}
	copy[size] = '\0';
	return copy;
}

/* ---- a stream ---- */

enum state { TEXT, ESCAPE, ESCAPE_MORE, SEQUENCE, SEQUENCE_OTHER, STRING, STRING_ESCAPE, STATES };

/* Moves the held bytes to out. Returns their number. */
static size_t release(struct printable_stream *s, char *out)
{
	size_t size = s->size;
	memcpy(out, s->held, size);
	s->size = 0;
	return size;
}

/* Writes one `?` for each held byte. Returns their number. */
static size_t give_up(struct printable_stream *s, char *out)
{
	size_t size = s->size;
	memset(out, '?', size);
	s->size = 0;
	return size;
}

static size_t on_character(struct printable_stream *s, unsigned char byte, char *out)
{
	uint32_t c;
	s->held[s->size++] = byte;
	int n = decode(s->held, s->size, &c);
	if (n == 0)
		return 0;
	if (n > 0 && is_kept(c))
		return release(s, out);
	/* One `?` for a character, and for each byte of none. */
	if (n > 0)
		s->size = 1;
	return give_up(s, out);
}

static size_t on_text(struct printable_stream *s, unsigned char byte, char *out)
{
	size_t size = 0;
	if (s->size && (byte & 0xc0) != 0x80)
		size = give_up(s, out);
	if (byte == 0x1b) {
		s->state = ESCAPE;
	} else if (byte == '\n' || byte == '\t' || byte == '\r') {
		out[size++] = (char)byte;
	} else if (byte >= ' ' && byte != 0x7f) {
		size += on_character(s, byte, out + size);
	}
	return size;
}

/* The byte after ESC (ECMA-48, 5.3; ECMA-35, 13.2). */
static size_t on_escape(struct printable_stream *s, unsigned char byte, char *out)
{
	static const char strings[] = "]PX^_";
	if (byte == '[')
		s->state = SEQUENCE;
	else if (byte && strchr(strings, byte))
		s->state = STRING;
	else if (byte >= 0x20 && byte <= 0x2f)
		s->state = ESCAPE_MORE;
	else if (byte != 0x1b)
		s->state = TEXT;
	if (byte < ' ' || byte >= 0x7f)
		return s->state == TEXT ? on_text(s, byte, out) : 0;
	return 0;
}

static size_t on_escape_more(struct printable_stream *s, unsigned char byte, char *out)
{
	if (byte >= 0x20 && byte <= 0x2f)
		return 0;
	s->state = TEXT;
	return byte >= 0x30 && byte < 0x7f ? 0 : on_text(s, byte, out);
}

/* Holds the digits, ; and : behind ESC [ until the final byte tells whether they are a colour. */
static size_t on_sequence(struct printable_stream *s, unsigned char byte, char *out)
{
	if (byte >= '0' && byte <= ';' && s->size < PRINTABLE_HELD - 3) {
		s->held[s->size++] = byte;
		return 0;
	}
	if (byte == 'm') {
		size_t digits = release(s, out + 2);
		memcpy(out, "\033[", 2);
		out[2 + digits] = 'm';
		s->state = TEXT;
		s->coloured = digits > 1 || (digits == 1 && out[2] != '0');
		return digits + 3;
	}
	s->size = 0;
	s->state = SEQUENCE_OTHER;
	if (byte >= 0x20 && byte <= 0x3f)
		return 0;
	s->state = TEXT;
	return byte >= 0x40 && byte < 0x7f ? 0 : on_text(s, byte, out);
}

static size_t on_sequence_other(struct printable_stream *s, unsigned char byte, char *out)
{
	if (byte >= 0x20 && byte <= 0x3f)
		return 0;
	s->state = TEXT;
	return byte >= 0x40 && byte < 0x7f ? 0 : on_text(s, byte, out);
}

static size_t on_string(struct printable_stream *s, unsigned char byte, char *out)
{
	if (byte == '\n') {
		s->state = TEXT;
		return on_text(s, byte, out);
	}
	if (byte == '\a' || byte == 0x18 || byte == 0x1a) /* as terminals have it: BEL, CAN, SUB */
		s->state = TEXT;
	else if (byte == 0x1b)
		s->state = STRING_ESCAPE;
	return 0;
}

static size_t on_string_escape(struct printable_stream *s, unsigned char byte, char *out)
{
	s->state = ESCAPE; /* ESC \ ends the string, and any other sequence begins */
	return on_escape(s, byte, out);
}

size_t printable_stream(struct printable_stream *s, const void *data, size_t size, char *out)
{
	static size_t (*const on[STATES])(struct printable_stream *, unsigned char, char *) = {
		[TEXT] = on_text,
		[ESCAPE] = on_escape,
		[ESCAPE_MORE] = on_escape_more,
		[SEQUENCE] = on_sequence,
		[SEQUENCE_OTHER] = on_sequence_other,
		[STRING] = on_string,
		[STRING_ESCAPE] = on_string_escape,
	};
	const unsigned char *bytes = data;
	size_t written = 0;
	for (size_t i = 0; i < size; i++)
		written += on[s->state](s, bytes[i], out + written);
	return written;
}

const char *printable_stream_end(struct printable_stream *s)
{
	int coloured = s->coloured;
	*s = (struct printable_stream){ 0 };
	return coloured ? "\033[m" : "";
}
