/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/printable.h"
#include "base/terminal.h"

static int progress_shown;

int output_on_terminal(void)
{
	const char *term = getenv("TERM");
	return isatty(STDERR_FILENO) && !(term && streq(term, "dumb"));
}

enum { LINE_SIZE = 4096 };

static void print_line(char *text)
{
	output_progress_clear();
	fflush(stdout);
	fprintf(stderr, "holm: %s\n", printable(text));
}

void output_error(const char *format, ...)
{
	char text[LINE_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	print_line(text);
}

void output_note(const char *format, ...)
{
	char text[LINE_SIZE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	print_line(text);
}

int output_failure(int code, const struct error *err)
{
	output_error("%s", error_text(err, code));
	return EXIT_HOLM;
}

void output_json(struct json_object *o)
{
	AUTOFREE char *text = json_to_string(o, 1), *shown = printable_json(text);
	puts(shown);
}

int output_rows(const struct format *f, struct json_object *rows)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *text = NULL;
	if (f->kind == FORMAT_JSON) {
		output_json(rows);
		return 0;
	}
	int r = format_rows(f, rows, &text, &err);
	if (r < 0)
		return output_failure(r, err);
	fputs(text, stdout);
	return 0;
}

void output_line(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments);
	va_end(arguments);
	puts(printable(text));
}

void output_quote(const char *text)
{
	AUTOFREE char *line = printable_copy(text, strlen(text), SIZE_MAX);
	output_progress_clear();
	fprintf(stderr, "  | %s\n", line);
}

void output_redraw(void)
{
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
}

int output_flush(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -errno;
}

int output_finish(int status)
{
	output_progress_clear();
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		output_error("cannot write the output: %s", strerror(errno));
	return status ? status : EXIT_HOLM;
}

/* ---- tables ---- */

void output_table_done(struct output_table *t)
{
	strv_done(&t->cells);
}

enum { COLUMNS_MAX = 16, COLUMN_GAP = 2 };

/* Columns that a text takes: UTF-8 continuation bytes take none. */
static size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(const char *text, size_t width, int last)
{
	fputs(text, stdout);
	for (size_t n = text_width(text); !last && n < width + COLUMN_GAP; n++)
		putchar(' ');
	if (last)
		putchar('\n');
}

/* A table in print: the width of each column, 0 for one that is left out. */
struct layout {
	size_t columns, last, widths[COLUMNS_MAX];
};

static size_t whole_width(struct layout *l)
{
	size_t width = 0, shown = 0;
	for (size_t i = 0; i < l->columns; i++) {
		if (!l->widths[i])
			continue;
		width += l->widths[i];
		l->last = i;
		shown++;
	}
	return width + (shown ? (shown - 1) * COLUMN_GAP : 0);
}

/* Leaves columns out until the table fits in the terminal. */
static void fit(struct layout *l, const struct output_table *t)
{
	unsigned rows, columns;
	size_t width = whole_width(l);
	if (!t->optional || !isatty(STDOUT_FILENO) || terminal_size(STDOUT_FILENO, &rows, &columns) < 0 || columns == 0)
		return;
	for (const char *const *o = t->optional; *o && width > columns; o++) {
		for (size_t i = 0; i < l->columns; i++)
			if (streq(t->headers[i], *o))
				l->widths[i] = 0;
		width = whole_width(l);
	}
}

void output_table_print(struct output_table *t)
{
	struct layout l = { 0 };
	for (size_t i = 0; i < t->cells.count; i++)
		printable(t->cells.items[i]);
	for (; t->headers[l.columns] && l.columns < COLUMNS_MAX; l.columns++)
		l.widths[l.columns] = text_width(t->headers[l.columns]);
	const size_t columns = l.columns;
	if (columns == 0)
		return;
	for (size_t i = 0; i < t->cells.count; i++)
		l.widths[i % columns] = MAX(l.widths[i % columns], text_width(t->cells.items[i]));
	fit(&l, t);
	for (size_t i = 0; i < columns; i++)
		if (l.widths[i])
			print_cell(t->headers[i], l.widths[i], i == l.last);
	for (size_t i = 0; i < t->cells.count; i++)
		if (l.widths[i % columns])
			print_cell(t->cells.items[i], l.widths[i % columns], i % columns == l.last);
}

/* ---- progress ---- */

void output_progress_clear(void)
{
	if (!progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress_shown = 0;
}

void output_progress(const char *format, ...)
{
	char text[512];
	unsigned rows, columns = 80;
	va_list arguments;
	if (!output_on_terminal())
		return;
	terminal_size(STDERR_FILENO, &rows, &columns);
	va_start(arguments, format);
	vsnprintf(text, MIN(sizeof text, MAX(columns, 2)), format, arguments);
	va_end(arguments);
	fprintf(stderr, "\r\033[K%s", printable(text));
	fflush(stderr);
	progress_shown = 1;
}

char *output_age(const char *rfc3339)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400 * 365, "year" }, { 86400 * 30, "month" }, { 86400 * 7, "week" }, { 86400, "day" },
		{ 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	int64_t then;
	if (clock_parse_rfc3339(rfc3339, &then) < 0)
		return xstrdup(rfc3339);
	int64_t age = (clock_realtime_ns() - then) / 1000000000;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		/* Up to twice a unit the next smaller one says more ("90 minutes"). */
		if (age < 2 * units[i].seconds)
			continue;
		return xasprintf("%lld %ss ago", (long long)(age / units[i].seconds), units[i].name);
	}
	return xstrdup("just now");
}
