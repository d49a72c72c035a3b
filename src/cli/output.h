/* SPDX-License-Identifier: Apache-2.0
 * Output of the commands: errors and notes on stderr, tables and JSON on stdout, the progress of a
 * boot. Each function makes its text printable (base/printable.h). */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "base/strv.h"

/* "holm: text", one line on stderr; a progress line is cleared first. */
void output_error(const char *format, ...) PRINTF_LIKE(1, 2);
void output_note(const char *format, ...) PRINTF_LIKE(1, 2);
/* Shows err (or strerror of code) and returns EXIT_HOLM, for `return output_failure(r, err)`. */
int output_failure(int code, const struct error *err);
void output_json(struct json_object *o); /* pretty, on stdout; what is not printable as \uXXXX */
/* Shows rows by --format json or a template, on stdout. The status of the command. */
int output_rows(const struct format *f, struct json_object *rows);
void output_line(const char *format, ...) PRINTF_LIKE(1, 2); /* one line on stdout */
void output_quote(const char *text); /* one line on stderr of what another program said, marked as such */
void output_redraw(void);            /* a terminal as stdout is cleared, and the next text is at its top */
int output_flush(void);              /* 0, or -errno: nobody reads it */
/* Last thing in main(): flushes stdout; a failure to write makes a good status EXIT_HOLM. */
int output_finish(int status);

struct output_table {
	const char *const *headers;  /* NULL-terminated */
	const char *const *optional; /* NULL or a list: left out in this order while a terminal is too narrow */
	struct strv cells;           /* row after row */
};
void output_table_print(struct output_table *t); /* aligned; two blanks between columns; no escape sequences */
#define AUTO_TABLE CLEANUP(output_table_done)
void output_table_done(struct output_table *t);

/* One line on stderr that is replaced and at last cleared; nothing where stderr is no terminal. */
void output_progress(const char *format, ...) PRINTF_LIKE(1, 2);
void output_progress_clear(void);
int output_on_terminal(void);          /* stderr is a terminal */
char *output_age(const char *rfc3339); /* "3 days ago"; owned */
