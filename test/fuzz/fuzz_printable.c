/* SPDX-License-Identifier: Apache-2.0
 * Text on its way to a terminal: printable characters and colours alone come out, whatever pieces
 * come in. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/printable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
	if (!holds)
		abort();
}

static size_t filter(const uint8_t *data, size_t size, size_t piece, char *out)
{
	struct printable_stream s = { 0 };
	size_t written = 0;
	for (size_t at = 0; at < size; at += piece) {
		size_t n = MIN(piece, size - at), added = printable_stream(&s, data + at, n, out + written);
		check(added <= n + PRINTABLE_HELD && s.size <= sizeof s.held);
		written += added;
	}
	check(written <= size);
	return written;
}

/* Checks that printable() keeps the text between colours and line ends. */
static void check_stream(char *text, size_t size)
{
	size_t kept = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == 0x1b) {
			check(i + 1 < size && text[i + 1] == '[');
			for (i += 2; i < size && text[i] >= '0' && text[i] <= ';'; i++)
				;
			check(i < size && text[i] == 'm');
		} else if (text[i] != '\n' && text[i] != '\r' && text[i] != '\t') {
			text[kept++] = text[i];
		}
	}
	text[kept] = '\0';
	AUTOFREE char *copy = printable_copy(text, kept, SIZE_MAX);
	check(strlen(copy) == kept && memcmp(copy, text, kept) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *whole = xmalloc(size + PRINTABLE_HELD + 1), *pieces = xmalloc(size + PRINTABLE_HELD + 1);
	size_t written = filter(data, size, MAX(size, 1), whole);
	check(filter(data, size, 1, pieces) == written && memcmp(whole, pieces, written) == 0);
	check_stream(whole, written);
	AUTOFREE char *line = printable_copy((const char *)data, size, SIZE_MAX), *again = xstrdup(line),
		      *json = printable_json(line);
	check(streq(printable(again), line) && streq(json, line));
	AUTOFREE char *text = xstrndup((const char *)data, size), *escaped = printable_json(text);
	AUTOFREE char *twice = printable_json(escaped);
	check(streq(escaped, twice));
	return 0;
}
