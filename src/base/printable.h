/* SPDX-License-Identifier: Apache-2.0
 * Text from outside (an image, a registry, a guest, a file name) on its way to a person. Nothing in
 * it steers a terminal or changes the order in which it is read.
 *
 * Kept is UTF-8 (RFC 3629) without control characters (C0, DEL, C1), without line and paragraph
 * separators, and without format characters: bidi marks, characters of no width, tags. */
#pragma once

#include <stddef.h>

/* Makes one line of text, in place: a control character becomes a blank, everything else that is
 * not kept `?`. Drops half a character at the end, as a cap leaves it. Returns text. */
char *printable(char *text);

/* Does the same with a copy of at most max bytes of text, which has size bytes or ends before them.
 * Returns the copy, owned. */
char *printable_copy(const char *text, size_t size, size_t max);

/* Writes a JSON document without loss: characters that are not kept as \uXXXX, a byte that is no
 * UTF-8 as \ufffd. Returns the copy, owned. */
char *printable_json(const char *text);

/* ---- a stream of lines, on a terminal ---- */

enum { PRINTABLE_HELD = 64 }; /* bytes of a sequence that are held back until it is whole */

/* Zero at first. */
struct printable_stream {
	int state;
	unsigned char held[PRINTABLE_HELD];
	size_t size;  /* bytes of held */
	int coloured; /* a colour may be on */
};

/* Copies `size` bytes to out, which has room for size + PRINTABLE_HELD. Newlines, tabs, carriage
 * returns and colours (SGR, ECMA-48 8.3.117: ESC [ digits m) stay. Other sequences and control
 * characters are left out; any other character that is not kept becomes `?`. A string (OSC, DCS,
 * APC, PM, SOS) ends with its line at the latest, so that it hides no other. The result does not
 * depend on the pieces in which the stream comes. Returns the bytes written. */
size_t printable_stream(struct printable_stream *s, const void *data, size_t size, char *out);

/* Ends the stream. Returns the sequence that ends a colour, or "" if none is on. */
const char *printable_stream_end(struct printable_stream *s);
