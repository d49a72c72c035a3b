/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/log_lines.h"

#include "base/alloc.h"

enum { RETURNS_MAX = 4096 };

/* Hands on a part of a line, with its newline or without. Carriage returns wait until it is known
 * whether more of the line follows. */
static int hand_on(struct log_lines *l, const char *data, size_t size, log_lines_write write, void *writer)
{
	size_t end = size > 0 && data[size - 1] == '\n', text = size - end;
	int r = 0;
	if (!write || !size)
		return 0;
	while (!l->keep_returns && text > 0 && data[text - 1] == '\r')
		text--;
	for (; r == 0 && text > 0 && l->returns > 0; l->returns--)
		r = write("\r", 1, writer);
	if (r == 0 && text > 0)
		r = write(data, text == size - end ? size : text, writer);
	if (r == 0 && end && (text == 0 || text < size - end))
		r = write("\n", 1, writer);
	l->returns = end ? 0 : MIN(l->returns + size - text, (size_t)RETURNS_MAX);
	return r;
}

/* Decides about the line that begins with what is held. */
static int begin_line(struct log_lines *l, log_lines_write write, void *data)
{
	int64_t ns = l->last_ns;
	int stamped = stamp_read(l->held, l->held_size, &ns) == 0;
	size_t from = stamped && !l->with_times ? STAMP_SIZE : 0, size = l->held_size - from;
	l->last_ns = ns;
	l->in_line = 1;
	l->is_over |= ns >= l->until_ns;
	l->is_shown = ns >= l->since_ns && ns < l->until_ns;
	if (l->is_shown)
		l->is_shown = l->shown++ >= l->skip;
	l->held_size = 0;
	return l->is_shown ? hand_on(l, l->held + from, size, write, data) : 0;
}

/* Holds bytes until they can be a time, or the line ends before. Returns how many it took. */
static size_t hold(struct log_lines *l, const char *data, size_t size, int *ret_ended)
{
	const char *end = memchr(data, '\n', MIN(size, STAMP_SIZE - l->held_size));
	size_t n = end ? (size_t)(end - data) : MIN(size, STAMP_SIZE - l->held_size);
	memcpy(l->held + l->held_size, data, n);
	l->held_size += n;
	*ret_ended = end != NULL;
	return n;
}

int log_lines_feed(struct log_lines *l, const char *data, size_t size, log_lines_write write, void *data_of_writer)
{
	int r = 0, ended = 0;
	while (r == 0 && size > 0) {
		if (!l->in_line) {
			size_t n = hold(l, data, size, &ended);
			data += n;
			size -= n;
			if (ended || l->held_size == STAMP_SIZE || !stamp_begins(l->held, l->held_size))
				r = begin_line(l, write, data_of_writer);
			continue;
		}
		const char *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) + 1 : size;
		if (l->is_shown)
			r = hand_on(l, data, n, write, data_of_writer);
		l->in_line = !end;
		data += n;
		size -= n;
	}
	return r;
}

int log_lines_end(struct log_lines *l, log_lines_write write, void *data_of_writer)
{
	int r = l->held_size ? begin_line(l, write, data_of_writer) : 0;
	l->in_line = 0;
	l->returns = 0;
	return r;
}
