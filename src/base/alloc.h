/* SPDX-License-Identifier: Apache-2.0
 * Allocation that aborts when memory is out. Every size that comes from outside is capped by its
 * reader before it gets here, so running out is a fault of the host, not something a caller could
 * answer. */
#pragma once

#include <stdarg.h>

#include "base/macros.h"

#define NEVER_NULL __attribute__((returns_nonnull))

void *xmalloc(size_t size) NEVER_NULL;
void *xcalloc(size_t count, size_t size) NEVER_NULL;           /* zeroed; the product is checked for overflow */
void *xrealloc(void *p, size_t count, size_t size) NEVER_NULL; /* count * size bytes, checked for overflow */
char *xstrdup(const char *s);                                  /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2) NEVER_NULL; /* owned by the caller */
char *xvasprintf(const char *format, va_list arguments) PRINTF_LIKE(1, 0) NEVER_NULL;

/* Room for one more than `count` items. The size doubles, so that appending takes linear time:
 * every append of the list goes through here, from 0 on. */
void *xgrow(void *items, size_t count, size_t size) NEVER_NULL;

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
