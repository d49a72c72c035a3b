/* SPDX-License-Identifier: Apache-2.0
 * Small compiler helpers: scope cleanup, ownership hand-over, sizes. */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CLEANUP(function) __attribute__((cleanup(function)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define UNUSED __attribute__((unused))

/* Gives the value of a cleanup variable away: the variable is left empty, the scope no longer frees
 * it. */
#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) take_ = (p);                                                                             \
		(p) = NULL;                                                                                            \
		take_;                                                                                                 \
	})
#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int take_ = (fd);                                                                                      \
		(fd) = -1;                                                                                             \
		take_;                                                                                                 \
	})

/* Defines NAMEp(), usable with CLEANUP(), for a destructor NAME that takes a pointer and accepts
 * NULL. */
#define DEFINE_CLEANUP(type, name)                                                                                     \
	static inline void name##p(type **p) /* NOLINT(bugprone-macro-parentheses): a type */                          \
	{                                                                                                              \
		name(*p);                                                                                              \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

#define AUTOFREE CLEANUP(freep)

static inline int streq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Returns the rest of s behind prefix, or NULL when s does not start with it. */
static inline const char *startswith(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static inline int endswith(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}
