/* SPDX-License-Identifier: Apache-2.0 */
#include "base/format.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/printable.h"

enum { OUTPUT_MAX = 64 << 20, COLUMNS_MAX = 64, COLUMN_GAP = 2 };

void format_done(struct format *f)
{
	template_free(f->template);
	*f = (struct format){ 0 };
}

int format_parse(const char *text, const char *own, struct format *ret, struct error **err)
{
	const char *word = text ? text : own ? own : "json", *rest = startswith(word, "table ");
	if (streq(word, own) || streq(word, "json")) {
		*ret = (struct format){ .kind = streq(word, "json") ? FORMAT_JSON : FORMAT_OWN };
		return 0;
	}
	if (!strstr(word, "{{"))
		return error_set(err, EINVAL,
		    "--format cannot be \"%.40s\"; it is %s%sjson, or a template such as '{{.name}}'", word,
		    own ? own : "", own ? ", " : "");
	*ret = (struct format){ .kind = FORMAT_TEMPLATE, .is_table = rest != NULL };
	return template_parse(rest ? rest : word, &ret->template, err);
}

/* ---- tables ---- */

static size_t text_width(const char *s, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < size; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

/* Calls each(cell, size, column, is_last) for all cells of the text: lines of cells with tabs
 * between. */
static void each_cell(const char *text,
    void (*each)(const char *cell, size_t size, size_t column, int is_last, void *data), void *data)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		const char *end = line + length;
		for (size_t column = 0;; column++) {
			size_t size = strcspn(line, "\t\n");
			each(line, size, column, line + size == end, data);
			line += size + (line[size] != 0);
			if (line > end || !*line)
				break;
		}
	}
}

struct columns {
	size_t widths[COLUMNS_MAX];
	struct buffer out;
};

static void measure(const char *cell, size_t size, size_t column, int is_last, void *data)
{
	struct columns *c = data;
	if (column < COLUMNS_MAX && !is_last)
		c->widths[column] = MAX(c->widths[column], text_width(cell, size));
}

static void write_cell(const char *cell, size_t size, size_t column, int is_last, void *data)
{
	struct columns *c = data;
	size_t width = column < COLUMNS_MAX ? c->widths[column] : 0;
	buffer_append(&c->out, cell, size);
	for (size_t n = text_width(cell, size); !is_last && n < width + COLUMN_GAP; n++)
		buffer_append_string(&c->out, " ");
	if (is_last)
		buffer_append_string(&c->out, "\n");
}

static char *align(const char *text)
{
	struct columns c = { 0 };
	buffer_init(&c.out, SIZE_MAX / 2);
	each_cell(text, measure, &c);
	each_cell(text, write_cell, &c);
	return buffer_take_string(&c.out);
}

/* ---- rows ---- */

/* Makes the text printable in place; its lines and tabs stay. */
static void clean(char *text)
{
	char *to = text;
	for (char *at = text; *at;) {
		size_t size = strcspn(at, "\n\t");
		char end = at[size];
		at[size] = 0;
		printable(at);
		size_t kept = strlen(at); /* fewer than size if characters became ? */
		memmove(to, at, kept);
		to += kept;
		at += size + (end != 0);
		if (end)
			*to++ = end;
	}
	*to = 0;
}

static int write_rows(const struct format *f, struct json_object *rows, struct buffer *out, struct error **err)
{
	int r = f->is_table ? template_run_headings(f->template, f->headings, out, err) : 0;
	if (r == 0 && f->is_table)
		r = buffer_append_string(out, "\n");
	for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
		r = template_run(f->template, json_object_array_get_idx(rows, i), out, err);
		if (r == 0)
			r = buffer_append_string(out, "\n");
	}
	return r;
}

int format_rows(const struct format *f, struct json_object *rows, char **ret, struct error **err)
{
	AUTO_BUFFER struct buffer out;
	buffer_init(&out, OUTPUT_MAX);
	int r = write_rows(f, rows, &out, err);
	if (r < 0)
		return r;
	AUTOFREE char *text = buffer_take_string(&out);
	clean(text);
	*ret = f->is_table ? align(text) : TAKE_PTR(text);
	return 0;
}
