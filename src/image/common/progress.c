/* SPDX-License-Identifier: Apache-2.0
 * Progress.
 *
 * On a terminal the bars are the last lines of the screen: each drawing moves the cursor up over
 * the earlier one. Never more lines than the screen has: finished bars are left out first. Notes go
 * above the bars. */
#include "image/common/progress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/printable.h"
#include "base/terminal.h"

enum { DRAW_EVERY_MS = 100, SCREEN_MAX = 1 << 18, LABEL_WIDTH = 14, STATE_WIDTH = 60, BAR_MAX = 40 };

struct bar {
	char *label, *state;
	uint64_t done, total;
	const char *word; /* finished */
};

struct progress {
	int bars_wanted, plain; /* neither: silent */
	struct bar *bars;
	int count;
	unsigned lines; /* drawn last time */
	uint64_t drawn_ms;
};

struct progress *progress_new(enum progress_mode mode)
{
	struct progress *p = xnew(struct progress);
	const char *term = getenv("TERM");
	if (mode == PROGRESS_NONE)
		return p;
	p->bars_wanted = mode == PROGRESS_AUTO && isatty(STDERR_FILENO) && term && !streq(term, "dumb");
	p->plain = !p->bars_wanted;
	return p;
}

int progress_mode_parse(const char *text, enum progress_mode *ret)
{
	static const char *const names[] = { "auto", "plain", "none" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(text ? text : "auto", names[i])) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

int progress_has_bars(const struct progress *p)
{
	return p->bars_wanted;
}

static void draw_bar(struct buffer *out, const struct bar *b, unsigned columns)
{
	AUTOFREE char *done = format_size(b->done), *total = b->total ? format_size(b->total) : NULL;
	unsigned width = columns > 60 ? MIN(columns - 44, BAR_MAX) : 0;
	buffer_appendf(out, "  %-*s ", LABEL_WIDTH, b->label);
	if (b->word) {
		buffer_appendf(out, "%8s  %s", done, b->word);
	} else if (b->state) {
		buffer_appendf(out, "%8s  %s", done, b->state);
	} else {
		unsigned full = b->total ? (unsigned)(MIN(b->done, b->total) * width / b->total) : 0;
		if (width > 0 && b->total) {
			buffer_append_string(out, "[");
			for (unsigned i = 0; i < width; i++)
				buffer_append_string(out, i < full ? "=" : i == full ? ">" : " ");
			buffer_append_string(out, "] ");
		}
		buffer_appendf(out, "%s%s%s", done, total ? " of " : "", total ? total : "");
	}
	buffer_append_string(out, "\033[K\n");
}

static void draw(struct progress *p, const char *note)
{
	unsigned rows = 24, columns = 80;
	AUTO_BUFFER struct buffer out;
	buffer_init(&out, SCREEN_MAX);
	(void)terminal_size(STDERR_FILENO, &rows, &columns);
	if (p->lines > 0)
		buffer_appendf(&out, "\033[%uA\r", p->lines);
	if (note)
		buffer_appendf(&out, "%s\033[K\n", note);
	int room = rows > 4 ? (int)rows - 2 : 2, hidden = MAX(0, p->count - room);
	p->lines = 0;
	for (int i = 0; i < p->count; i++) {
		struct bar *b = &p->bars[i];
		if (b->word && hidden > 0) {
			hidden--;
			continue;
		}
		if ((int)p->lines >= room)
			break;
		draw_bar(&out, b, columns);
		p->lines++;
	}
	buffer_append_string(&out, "\033[J");
	(void)fd_write_full(STDERR_FILENO, out.data, out.size);
	p->drawn_ms = clock_now_ms();
}

static void maybe_draw(struct progress *p)
{
	if (p->bars_wanted && clock_now_ms() >= p->drawn_ms + DRAW_EVERY_MS)
		draw(p, NULL);
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	if (p->bars_wanted && p->count > 0)
		draw(p, NULL);
	for (int i = 0; i < p->count; i++) {
		free(p->bars[i].label);
		free(p->bars[i].state);
	}
	free(p->bars);
	free(p);
}

void progress_note(struct progress *p, const char *format, ...)
{
	AUTO_BUFFER struct buffer text;
	AUTOFREE char *s = NULL;
	va_list arguments;
	buffer_init(&text, SCREEN_MAX);
	va_start(arguments, format);
	int n = vasprintf(&s, format, arguments);
	va_end(arguments);
	if (n < 0 || (!p->bars_wanted && !p->plain))
		return;
	printable(s); /* some of it comes from outside */
	if (p->bars_wanted) {
		draw(p, s);
		return;
	}
	buffer_appendf(&text, "%s\n", s);
	(void)fd_write_full(STDERR_FILENO, text.data, text.size);
}

int progress_add(struct progress *p, const char *label, uint64_t total)
{
	p->bars = xrealloc(p->bars, p->count + 1, sizeof *p->bars);
	p->bars[p->count] = (struct bar){ .label = printable_copy(label, strlen(label), LABEL_WIDTH), .total = total };
	p->count++;
	maybe_draw(p);
	return p->count - 1;
}

void progress_update(struct progress *p, int bar, uint64_t done)
{
	if (bar < 0)
		return;
	p->bars[bar].done = done;
	maybe_draw(p);
}

void progress_state(struct progress *p, int bar, const char *state)
{
	if (bar < 0)
		return;
	free(p->bars[bar].state);
	p->bars[bar].state = state ? printable_copy(state, strlen(state), STATE_WIDTH) : NULL;
	if (p->bars_wanted)
		draw(p, NULL);
}

void progress_finish(struct progress *p, int bar, const char *word)
{
	if (bar < 0)
		return;
	struct bar *b = &p->bars[bar];
	b->word = word;
	b->done = MAX(b->done, b->total);
	if (p->plain) {
		AUTOFREE char *size = format_size(b->done);
		progress_note(p, "%s: %s, %s", b->label, word, size);
	} else if (p->bars_wanted) {
		draw(p, NULL);
	}
}
