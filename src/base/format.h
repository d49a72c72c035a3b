/* SPDX-License-Identifier: Apache-2.0
 * `--format` of the commands that show something: a word for the command's own table or text,
 * `json`, a template, or `table TEMPLATE` with aligned columns at its tabs. */
#pragma once

#include "base/json.h"
#include "base/template.h"

enum format_kind { FORMAT_OWN, FORMAT_JSON, FORMAT_TEMPLATE };

struct format {
	enum format_kind kind;
	int is_table;
	struct template *template;
	struct json_object *headings; /* of fields of a table, by their names; borrowed, or NULL */
};

/* Reads the option's value; NULL is the default. own: the word for what the command prints itself
 * by default, or NULL if its default is JSON. 0 or -errno with an error that says what there is. */
int format_parse(const char *text, const char *own, struct format *ret, struct error **err);
void format_done(struct format *f);
#define AUTO_FORMAT CLEANUP(format_done)

/* Writes each row by the template, one a line, or as a table. Text of the rows is made printable;
 * line ends and tabs stay. *ret is owned and ends in a newline unless it is empty. */
int format_rows(const struct format *f, struct json_object *rows, char **ret, struct error **err);

/* The rows of the option tables: own is the word for the command's own table or text. */
/* clang-format off */
#define FORMAT_OPTION_SHORT(letter, words, list, initial) \
	{ "format", letter, OPTION_STRING, words, \
	  "how to show it; a template is Go's: '{{.name}}', 'table {{.name}}'", \
	  .default_text = (initial), .complete = "choices " list }
#define FORMAT_OPTION_ROW(words, list, initial) FORMAT_OPTION_SHORT(0, words, list, initial)
/* clang-format on */
#define FORMAT_OPTION(own) FORMAT_OPTION_ROW(own "|json|TEMPLATE", own " json", own)
#define FORMAT_OPTION_JSON FORMAT_OPTION_ROW("json|TEMPLATE", "json", "json")
