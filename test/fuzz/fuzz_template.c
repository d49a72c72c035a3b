/* SPDX-License-Identifier: Apache-2.0
 * A template, a NUL and a JSON document. Whatever they are, the
 * result is printable and no run goes past its caps. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/printable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
	if (!holds)
		abort();
}

/* Checks that nothing but lines and tabs is left to be cleaned. */
static void check_printable(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	AUTOFREE char *copy = xstrdup(text);
	check(streq(printable(copy), text));
}

static void run(const char *text, struct json_object *rows)
{
	AUTO_FORMAT struct format f = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *result = NULL;
	int r = format_parse(text, "table", &f, &err);
	check(r == 0 || err);
	if (r < 0 || f.kind != FORMAT_TEMPLATE)
		return;
	error_clear(&err);
	r = format_rows(&f, rows, &result, &err);
	check(r == 0 ? result != NULL : err != NULL);
	if (result)
		check_printable(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	size_t used = MIN(strlen(text) + 1, size);
	struct json_object *row = NULL;
	AUTO_JSON struct json_object *rows = json_object_new_array();
	if (json_parse_bytes((const char *)data + used, size - used, "fuzz", &row, NULL) == 0)
		json_object_array_add(rows, row);
	run(text, rows);
	AUTOFREE char *table = xasprintf("table %s", text);
	run(table, rows);
	return 0;
}
