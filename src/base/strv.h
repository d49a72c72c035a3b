/* SPDX-License-Identifier: Apache-2.0
 * A vector of owned strings, always NULL-terminated, so that .items is an argv. */
#pragma once

#include "base/macros.h"

struct strv {
	char **items; /* NULL while empty; use strv_argv() where an argv is needed */
	size_t count;
};

void strv_done(struct strv *v);
#define AUTO_STRV CLEANUP(strv_done)
void strv_add(struct strv *v, const char *s); /* copies */
void strv_take(struct strv *v, char *s);      /* takes ownership */
void strv_addf(struct strv *v, const char *format, ...) PRINTF_LIKE(2, 3);
void strv_add_all(struct strv *v, const struct strv *other);
char **strv_argv(struct strv *v); /* never NULL */
int strv_contains(const struct strv *v, const char *s);
void strv_sort(struct strv *v);
/* Environment lists ("K=V"): sets or replaces K; value NULL removes it. */
void strv_setenv(struct strv *v, const char *key, const char *value);
const char *strv_getenv(const struct strv *v, const char *key); /* borrowed, or NULL */
/* Splits s at any of separators; empty parts are dropped. */
void strv_split(struct strv *v, const char *s, const char *separators);
char *strv_join(const struct strv *v, const char *separator); /* owned */
