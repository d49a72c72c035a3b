/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container/list.h"

#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/printable.h"
#include "cli/output.h"
#include "docker/units.h"

enum { ID_SHORT = 12 };
#define NS_PER_S 1000000000LL

int list_view_init(struct list_view *v, const struct list *l, const struct options *o, struct error **err)
{
	const char *text = options_string(o, "format");
	*v = (struct list_view){ .list = l, .template = text, .headings = json_object_new_object() };
	v->quiet = options_has(o, "quiet") && options_given(o, "quiet");
	v->wide = options_has(o, "no-trunc") && options_given(o, "no-trunc");
	for (const struct list_field *f = l->fields; f->key; f++)
		json_add_string(v->headings, f->key, f->heading);
	int r = format_parse(text, "table", &v->format, err);
	v->format.headings = v->headings;
	return r;
}

void list_view_done(struct list_view *v)
{
	format_done(&v->format);
	json_object_put(TAKE_PTR(v->headings));
}

int list_wants(const struct list_view *v, const char *field)
{
	return v->template && strstr(v->template, field);
}

static const char *text_of(struct json_object *row, const char *key)
{
	const char *text = "";
	json_get_string(row, key, &text, NULL);
	return text;
}

static void show_table(const struct list_view *v, struct json_object *rows)
{
	AUTO_STRV struct strv headings = { 0 };
	AUTO_TABLE struct output_table t = { .optional = v->wide ? NULL : v->list->optional };
	for (const char *const *key = v->list->table; *key; key++)
		strv_add(&headings, json_object_get_string(json_object_object_get(v->headings, *key)));
	t.headers = (const char *const *)strv_argv(&headings);
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		for (const char *const *key = v->list->table; *key; key++)
			strv_add(&t.cells, text_of(json_object_array_get_idx(rows, i), *key));
	output_table_print(&t);
}

/* One object a line, as docker's clients read it. */
static void show_json(struct json_object *rows)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		AUTOFREE char *text = json_to_string(json_object_array_get_idx(rows, i), 0),
			      *shown = printable_json(text);
		output_line("%s", shown);
	}
}

int list_show(const struct list_view *v, struct json_object *rows)
{
	if (v->format.kind == FORMAT_TEMPLATE)
		return output_rows(&v->format, rows);
	if (v->format.kind == FORMAT_JSON)
		show_json(rows);
	else if (!v->quiet)
		show_table(v, rows);
	for (size_t i = 0; v->quiet && v->format.kind == FORMAT_OWN && i < json_object_array_length(rows); i++)
		output_line("%s", text_of(json_object_array_get_idx(rows, i), v->list->quiet));
	return 0;
}

/* ---- values ---- */

char *list_id(const char *id, int whole)
{
	const char *digits = startswith(id, "sha256:");
	return whole ? xstrdup(id) : xstrndup(digits ? digits : id, ID_SHORT);
}

/* Characters are counted, not bytes. */
char *list_ellipsis(const char *text, size_t width)
{
	const char *cut = text, *at = text;
	for (size_t n = 0; *at; n++) {
		if (n == width)
			return xasprintf("%.*s…", (int)(cut - text), text);
		if (n + 1 == width)
			cut = at;
		for (at++; ((unsigned char)*at & 0xc0) == 0x80; at++)
			;
	}
	return xstrdup(text);
}

char *list_quote(const char *text)
{
	static const char marks[] = "\"\\\n\t\r", letters[] = "\"\\ntr";
	AUTO_BUFFER struct buffer out;
	buffer_init(&out, SIZE_MAX / 2);
	buffer_append_string(&out, "\"");
	for (; *text; text++) {
		const char *mark = strchr(marks, *text);
		if (mark)
			buffer_appendf(&out, "\\%c", letters[mark - marks]);
		else if ((unsigned char)*text < ' ' || *text == 0x7f)
			buffer_appendf(&out, "\\x%02x", (unsigned char)*text);
		else
			buffer_append(&out, text, 1);
	}
	buffer_append_string(&out, "\"");
	return buffer_take_string(&out);
}

char *list_time(int64_t seconds)
{
	char text[64] = "";
	time_t when = (time_t)seconds;
	struct tm parts;
	if (localtime_r(&when, &parts))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
	return xstrdup(text);
}

char *list_ago(int64_t seconds)
{
	if (!seconds)
		return xstrdup("N/A");
	int64_t now_ns = clock_realtime_ns();
	AUTOFREE char *age = docker_duration(now_ns - MAX(MIN(seconds, now_ns / NS_PER_S), 0) * NS_PER_S);
	return xasprintf("%s ago", age);
}

char *list_pairs(struct json_object *o)
{
	AUTO_STRV struct strv pairs = { 0 };
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value)
		    strv_addf(&pairs, "%s=%s", key, value ? json_object_get_string(value) : "");
	}
	strv_sort(&pairs);
	return strv_join(&pairs, ",");
}

void list_add_texts(struct json_object *row, struct json_object *from, const char *const *keys)
{
	for (; *keys; keys++) {
		const char *text = "";
		json_get_string(from, *keys, &text, NULL);
		json_add_string(row, *keys, text);
	}
}

void list_add_labels(struct json_object *row, struct json_object *from, const struct list_view *v)
{
	struct json_object *labels = NULL;
	json_get_object(from, "Labels", &labels, NULL);
	AUTOFREE char *pairs = list_pairs(labels);
	json_add_string(row, "Labels", pairs);
	if (list_wants(v, ".Label "))
		json_add(row, "Label", labels ? json_object_get(labels) : json_object_new_object());
}
