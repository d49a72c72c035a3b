/* SPDX-License-Identifier: Apache-2.0
 * .dockerignore (Dockerfile reference, ".dockerignore file"): patterns of Go's filepath.Match with
 * "**", where a line that begins with "!" takes files back in. */
#pragma once

#include <stddef.h>

#include "base/error.h"

enum { IGNORE_MAX = 256 << 10, IGNORE_PATTERNS_MAX = 4096, IGNORE_PATTERN_MAX = 4096 };

struct ignore; /* the patterns of a file */

/* Reads patterns, a line each; `name` is the file's, for errors. 0; -EINVAL: a pattern is none;
 * -E2BIG. *ret is owned. */
int ignore_parse(const char *data, size_t size, const char *name, struct ignore **ret, struct error **err);
void ignore_free(struct ignore *i);
DEFINE_CLEANUP(struct ignore, ignore_free)
#define AUTO_IGNORE CLEANUP(ignore_freep)

/* Whether a path of the context ("a/b", no leading slash) is left out, by its own name or a
 * parent's. The last pattern that fits decides. */
int ignore_excludes(const struct ignore *i, const char *path);
/* Whether a "!" pattern may take back something below a directory that is left out. */
int ignore_may_include_below(const struct ignore *i, const char *directory);

/* One pattern for whole paths. ignore_compile: NULL: it is none; owned. */
struct ignore_pattern;
struct ignore_pattern *ignore_compile(const char *text);
void ignore_pattern_free(struct ignore_pattern *p); /* NULL is fine */
DEFINE_CLEANUP(struct ignore_pattern, ignore_pattern_free)
#define AUTO_IGNORE_PATTERN CLEANUP(ignore_pattern_freep)
int ignore_fits(const struct ignore_pattern *p, const char *path);
