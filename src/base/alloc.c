/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

static void *checked(void *p)
{
	if (!p) {
		fputs("holm: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xmalloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes))
		abort();
	return checked(realloc(p, bytes ? bytes : 1));
}

void *xgrow(void *items, size_t count, size_t size)
{
	return (count & (count - 1)) == 0 ? xrealloc(items, count ? 2 * count : 1, size) : items;
}

char *xstrdup(const char *s)
{
	return s ? checked(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

void *xmemdup(const void *p, size_t n)
{
	void *copy = xmalloc(n);
	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *xasprintf(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *s = xvasprintf(format, arguments);
	va_end(arguments);
	return s;
}

char *xvasprintf(const char *format, va_list arguments)
{
	char *s = NULL;
	int r = vasprintf(&s, format, arguments);
	return checked(r < 0 ? NULL : s);
}
