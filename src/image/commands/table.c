/* SPDX-License-Identifier: Apache-2.0
 * A table on stdout. */
#include "image/commands/table.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/printable.h"
#include "image/commands/command.h"

enum { ROW_MAX = 1 << 20, TEXT_MAX = 64 << 20 };

void table_init(struct table *t, const char *const *titles, int columns)
{
	*t = (struct table){ .titles = titles, .columns = columns };
}

void table_done(struct table *t)
{
	for (size_t k = 0; k < t->count; k++) {
		for (int c = 0; c < t->columns; c++)
			free(t->rows[k][c]);
		free(t->rows[k]);
	}
	free(t->rows);
	*t = (struct table){ 0 };
}

char **table_row(struct table *t)
{
	t->rows = xrealloc(t->rows, t->count + 1, sizeof *t->rows);
	return t->rows[t->count++] = xcalloc(t->columns, sizeof(char *));
}

/* Blanks at the end of a line are left out. */
static int add_row(struct buffer *to, const char *const *cells, const int *widths, int columns)
{
	AUTO_BUFFER struct buffer line;
	buffer_init(&line, ROW_MAX);
	for (int c = 0; c < columns; c++)
		buffer_appendf(&line, "%-*s%s", widths[c], cells[c] ? cells[c] : "", c + 1 < columns ? "  " : "");
	while (line.size > 0 && line.data[line.size - 1] == ' ')
		line.size--;
	AUTOFREE char *shown = printable_copy(buffer_string(&line), line.size, SIZE_MAX);
	return buffer_appendf(to, "%s\n", shown);
}

/* Writes all rows at once. */
int table_print(const struct table *t, struct error **err)
{
	AUTOFREE int *widths = xcalloc(t->columns, sizeof *widths);
	AUTO_BUFFER struct buffer text;
	buffer_init(&text, TEXT_MAX);
	for (int c = 0; c < t->columns; c++) {
		widths[c] = (int)strlen(t->titles[c]);
		for (size_t k = 0; k < t->count; k++)
			widths[c] = MAX(widths[c], (int)strlen(t->rows[k][c] ? t->rows[k][c] : ""));
	}
	int r = add_row(&text, t->titles, widths, t->columns);
	for (size_t k = 0; k < t->count && r == 0; k++)
		r = add_row(&text, (const char *const *)t->rows[k], widths, t->columns);
	if (r < 0)
		return error_set(err, E2BIG, "the table has more than %d MiB", TEXT_MAX >> 20);
	return command_print_text(buffer_string(&text), err);
}
