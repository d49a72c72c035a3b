/* SPDX-License-Identifier: Apache-2.0
 * Lists as docker shows them: a row is an object of texts under docker's names of fields. It is
 * shown in a table, as JSON on a line, by a template, or by its identity alone.
 */
#pragma once

#include "base/format.h"
#include "base/options.h"

struct list_field {
	const char *key, *heading;
};

struct list {
	const struct list_field *fields; /* end with a NULL key */
	const char *const *table;        /* keys of the table's columns; NULL-terminated */
	const char *const *optional;     /* headings, NULL-terminated: left out while a terminal is too narrow */
	const char *quiet;               /* the key that --quiet shows */
};

/* clang-format off */
#define LIST_FORMAT_OPTION \
	{ "format", 0, OPTION_STRING, "table|json|TEMPLATE", \
	  "how to show it; a template is Go's: '{{.ID}}', 'table {{.ID}}'", .default_text = "table", \
	  .complete = "choices table json" }
/* clang-format on */

struct list_view {
	const struct list *list;
	struct format format;
	struct json_object *headings;
	const char *template; /* borrowed, or NULL */
	int quiet, wide;
};
/* Reads --format and, where the command has them, --quiet and --no-trunc. 0 or -errno. */
int list_view_init(struct list_view *v, const struct list *l, const struct options *o, struct error **err);
void list_view_done(struct list_view *v);
#define AUTO_LIST_VIEW CLEANUP(list_view_done)
/* Whether the template asks for a field, so that a costly one is made for those who want it. */
int list_wants(const struct list_view *v, const char *field);
/* Shows the rows (borrowed). The exit status. */
int list_show(const struct list_view *v, struct json_object *rows);

/* Adds texts of the engine's object to a row, under the same keys (NULL-terminated). */
void list_add_texts(struct json_object *row, struct json_object *from, const char *const *keys);
/* Adds Labels, and Label for a template that asks for one. */
void list_add_labels(struct json_object *row, struct json_object *from, const struct list_view *v);

/* ---- values of rows; all owned ---- */
char *list_id(const char *id, int whole);            /* 12 digits of it, without "sha256:" */
char *list_ellipsis(const char *text, size_t width); /* at most that many characters */
char *list_quote(const char *text);                  /* "text" as Go quotes it */
char *list_time(int64_t seconds);                    /* "2026-11-30 07:32:33 +0000 UTC" */
char *list_ago(int64_t seconds);                     /* "2 minutes ago", or "N/A" for 0 */
char *list_pairs(struct json_object *o);             /* "k=v,k2=v2" */
