/* SPDX-License-Identifier: Apache-2.0
 * A report on a terminal. Steps that have ended are lines that stay. Below them, as the last lines
 * of the screen, are the steps that run, each with the last lines of its output and its time. Each
 * drawing moves the cursor up over the earlier one. */
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/terminal.h"
#include "image/builder/report_private.h"

enum { DRAW_EVERY_MS = 100, SCREEN_MAX = 1 << 18, TAIL_LINES = 6, COLUMNS_MAX = 1000, TIME_WIDTH = 9 };

/* ---- text ---- */

/* Cuts a text at a number of columns, in place. A character above U+10FF takes two for sure. */
static unsigned cut(char *text, unsigned columns)
{
	unsigned used = 0;
	for (char *at = text; *at;) {
		unsigned char c = (unsigned char)*at;
		size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		unsigned width = size > 2 ? 2 : 1;
		if (used + width > columns) {
			*at = '\0';
			break;
		}
		used += width;
		for (; size && *at; size--)
			at++;
	}
	return used;
}

static void put_row(struct buffer *out, const char *text, uint64_t ms, int has_time, unsigned columns)
{
	AUTOFREE char *row = printable_copy(text, strlen(text), LINE_MAX_BYTES);
	unsigned room = columns > 20 ? columns - TIME_WIDTH - 1 : columns;
	unsigned used = cut(row, has_time ? room : columns - 1);
	buffer_append_string(out, row);
	if (has_time && columns > 20)
		buffer_appendf(out, "%*s%*llu.%llus", (int)(room - used), "", TIME_WIDTH - 3,
		    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000 / 100);
	buffer_append_string(out, "\033[K\n");
}

/* The text of the held output without colours; owned. */
static char *without_colours(const struct report_lane *l)
{
	struct printable_stream stream = { 0 };
	char *text = xmalloc(l->held.size + PRINTABLE_HELD + 1);
	size_t n = printable_stream(&stream, l->held.data, l->held.size, text), to = 0;
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\033')
			while (i < n && text[i] != 'm')
				i++;
		else
			text[to++] = text[i] == '\t' ? ' ' : text[i];
	text[to] = '\0';
	return text;
}

/* Of a line with carriage returns the last part is what a terminal shows. */
static const char *last_part(char *line)
{
	for (size_t n = strlen(line); n && line[n - 1] == '\r';)
		line[--n] = '\0';
	char *part = strrchr(line, '\r');
	return part ? part + 1 : line;
}

/* ---- the lines that run ---- */

static unsigned draw_tail(struct buffer *out, const struct report_lane *l, unsigned room, unsigned columns)
{
	AUTOFREE char *text = without_colours(l);
	AUTO_STRV struct strv lines = { 0 };
	unsigned drawn = 0;
	strv_split(&lines, text, "\n");
	size_t count = lines.count && !*lines.items[lines.count - 1] ? lines.count - 1 : lines.count;
	size_t wanted = MIN((size_t)MIN(room, (unsigned)TAIL_LINES), count);
	for (size_t i = count - wanted; i < count; i++, drawn++) {
		AUTOFREE char *row = xasprintf(" => => # %s", last_part(lines.items[i]));
		put_row(out, row, 0, 0, columns);
	}
	return drawn;
}

static unsigned draw_lane(struct buffer *out, const struct report_lane *l, unsigned room, unsigned columns)
{
	AUTOFREE char *row = xasprintf(" => %s %s", l->label, l->text);
	if (!room)
		return 0;
	put_row(out, row, clock_now_ms() - l->begun_ms, 1, columns);
	return 1 + draw_tail(out, l, room - 1, columns);
}

static unsigned count_running(const struct report *r)
{
	unsigned count = 0;
	for (size_t i = 0; i < r->lane_count; i++)
		count += r->lanes[i]->is_running && r->lanes[i]->label;
	return count;
}

/* Draws the region; above it `ended`, a line that stays, or NULL. */
static void draw(struct report *r, const char *ended, uint64_t ms)
{
	AUTO_BUFFER struct buffer out = { 0 };
	unsigned rows = 24, columns = 80, running = count_running(r);
	(void)terminal_size(STDERR_FILENO, &rows, &columns);
	columns = MAX(2U, MIN(columns, (unsigned)COLUMNS_MAX));
	buffer_init(&out, SCREEN_MAX);
	if (r->lines)
		buffer_appendf(&out, "\033[%uA\r", r->lines);
	r->lines = 0;
	if (ended)
		put_row(&out, ended, ms, 1, columns);
	if (running) {
		AUTOFREE char *head = xasprintf("[+] Building (%zu/%zu)", r->ended, r->total);
		put_row(&out, head, clock_now_ms() - r->begun_ms, 1, columns);
		r->lines = 1;
	}
	unsigned room = rows > 6 ? rows - 3 : 3, each = running ? MAX(1U, room / running) : 0;
	for (size_t i = 0; i < r->lane_count && r->lines < room; i++) {
		const struct report_lane *l = r->lanes[i];
		if (l->is_running && l->label)
			r->lines += draw_lane(&out, l, MIN(each, room - r->lines), columns);
	}
	buffer_append_string(&out, "\033[J");
	(void)fd_write_full(STDERR_FILENO, out.data, out.size);
	r->drawn_ms = clock_now_ms();
}

static void pause_drawing(struct report *r)
{
	if (r->lines)
		fprintf(stderr, "\033[%uA\r\033[J", r->lines);
	r->lines = 0;
}

static int tick(struct report *r)
{
	if (count_running(r) && clock_now_ms() >= r->drawn_ms + DRAW_EVERY_MS)
		draw(r, NULL, 0);
	return count_running(r) ? DRAW_EVERY_MS : -1;
}

/* ---- the face ---- */

static void begin(struct report_lane *l)
{
	if (l->label)
		draw(l->report, NULL, 0);
}

static void end(struct report_lane *l, int is_cached, const char *result)
{
	AUTOFREE char *row = l->label ? xasprintf(" => %s%s %s", is_cached ? "CACHED " : "", l->label, l->text) : NULL;
	if (row)
		draw(l->report, row, clock_now_ms() - l->begun_ms);
}

static void failure(struct report_lane *l, const char *excerpt)
{
	AUTOFREE char *row = l->label ? xasprintf(" => ERROR %s %s", l->label, l->text) : NULL;
	if (row)
		draw(l->report, row, clock_now_ms() - l->begun_ms);
	pause_drawing(l->report);
	if (l->held.size) {
		AUTOFREE char *head = xasprintf("------\n > %s %s:", l->label ? l->label : "", l->text);
		report_show_lines(head);
		report_show_held(l);
		fprintf(stderr, "------\n");
	}
	report_show_lines(excerpt);
}

static void image(struct report *r, const char *digest, const struct strv *names)
{
	pause_drawing(r);
	report_show_image(r, digest, names);
}

const struct report_face report_screen = {
	.begin = begin,
	.output = report_hold,
	.end = end,
	.failure = failure,
	.image = image,
	.pause = pause_drawing,
	.tick = tick,
};
