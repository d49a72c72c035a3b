/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strv.h"

#include <stdarg.h>

#include "base/alloc.h"

void strv_done(struct strv *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct strv){ 0 };
}

void strv_take(struct strv *v, char *s)
{
	/* Grown by doubling at powers of two; always room for the NULL behind. */
	if ((v->count & (v->count + 1)) == 0)
		v->items = xrealloc(v->items, 2 * (v->count + 1), sizeof *v->items);
	v->items[v->count++] = s;
	v->items[v->count] = NULL;
}

void strv_add(struct strv *v, const char *s)
{
	strv_take(v, xstrdup(s));
}

void strv_addf(struct strv *v, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	strv_take(v, xvasprintf(format, arguments));
	va_end(arguments);
}

void strv_add_all(struct strv *v, const struct strv *other)
{
	for (size_t i = 0; i < other->count; i++)
		strv_add(v, other->items[i]);
}

char **strv_argv(struct strv *v)
{
	static char *empty[1];
	return v->items ? v->items : empty;
}

int strv_contains(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->count; i++)
		if (streq(v->items[i], s))
			return 1;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->count)
		qsort(v->items, v->count, sizeof *v->items, compare);
}

static int is_key(const char *entry, const char *key, size_t n)
{
	return strncmp(entry, key, n) == 0 && entry[n] == '=';
}

void strv_setenv(struct strv *v, const char *key, const char *value)
{
	size_t n = strlen(key), kept = 0;
	int placed = 0;
	for (size_t i = 0; i < v->count; i++) {
		if (!is_key(v->items[i], key, n)) {
			v->items[kept++] = v->items[i];
			continue;
		}
		free(v->items[i]);
		if (value && !placed) {
			v->items[kept++] = xasprintf("%s=%s", key, value);
			placed = 1;
		}
	}
	/* Removing may leave the array larger than its count asks for; strv_take() sizes by count
	 * alone, so shrink in step. */
	if (kept < v->count) {
		struct strv smaller = { 0 };
		for (size_t i = 0; i < kept; i++)
			strv_take(&smaller, v->items[i]);
		free(v->items);
		*v = smaller;
	}
	if (value && !placed)
		strv_addf(v, "%s=%s", key, value);
}

const char *strv_getenv(const struct strv *v, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < v->count; i++)
		if (is_key(v->items[i], key, n))
			return v->items[i] + n + 1;
	return NULL;
}

void strv_split(struct strv *v, const char *s, const char *separators)
{
	while (*s) {
		size_t n = strcspn(s, separators);
		if (n)
			strv_take(v, xstrndup(s, n));
		s += n;
		s += strspn(s, separators);
	}
}

char *strv_join(const struct strv *v, const char *separator)
{
	size_t size = 1;
	for (size_t i = 0; i < v->count; i++)
		size += strlen(v->items[i]) + strlen(separator);
	char *joined = xmalloc(size), *at = joined;
	*at = '\0';
	for (size_t i = 0; i < v->count; i++) {
		if (i)
			at = stpcpy(at, separator);
		at = stpcpy(at, v->items[i]);
	}
	return joined;
}
