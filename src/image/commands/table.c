/* SPDX-License-Identifier: Apache-2.0
 * A table on stdout. */
#include "image/commands/table.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "image/commands/command.h"

enum { ROW_MAX = 1 << 20 };

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
static int print_row(const char *const *cells, const int *widths, int columns, struct error **err)
{
	AUTO_BUFFER struct buffer line;
	buffer_init(&line, ROW_MAX);
	for (int c = 0; c < columns; c++)
		buffer_appendf(&line, "%-*s%s", widths[c], cells[c] ? cells[c] : "", c + 1 < columns ? "  " : "");
	while (line.size > 0 && line.data[line.size - 1] == ' ')
		line.size--;
	return command_print(buffer_string(&line), err);
}

int table_print(const struct table *t, struct error **err)
{
	AUTOFREE int *widths = xcalloc(t->columns, sizeof *widths);
	for (int c = 0; c < t->columns; c++) {
		widths[c] = (int)strlen(t->titles[c]);
		for (size_t k = 0; k < t->count; k++)
			widths[c] = MAX(widths[c], (int)strlen(t->rows[k][c] ? t->rows[k][c] : ""));
	}
	int r = print_row(t->titles, widths, t->columns, err);
	for (size_t k = 0; k < t->count && r == 0; k++)
		r = print_row((const char *const *)t->rows[k], widths, t->columns, err);
	return r;
}
