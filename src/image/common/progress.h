/* SPDX-License-Identifier: Apache-2.0
 * Progress of long work, on stderr: a bar for each layer on a terminal, plain lines otherwise, or
 * nothing. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum progress_mode { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_NONE };

struct progress;
/* AUTO: bars when stderr is a terminal that can do it, else plain. */
struct progress *progress_new(enum progress_mode mode);
void progress_free(struct progress *p); /* leaves the last state of the bars on the screen */
DEFINE_CLEANUP(struct progress, progress_free)
#define AUTO_PROGRESS CLEANUP(progress_freep)
int progress_mode_parse(const char *text, enum progress_mode *ret); /* NULL is auto; 0 or -EINVAL */

int progress_has_bars(const struct progress *p); /* else what happens to a bar is not seen */

/* A line of its own: `pulling docker.io/library/alpine:latest`. */
void progress_note(struct progress *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* Starts a bar; total 0 when the end is not known. Its number. */
int progress_add(struct progress *p, const char *label, uint64_t total);
void progress_update(struct progress *p, int bar, uint64_t done);
/* Shows a state in the place of the bytes: "waiting", "retrying in 2 s". NULL: bytes again. Bars
 * only. */
void progress_state(struct progress *p, int bar, const char *state);
/* The bar is full; `word` says how it ended: "done", "there already". */
void progress_finish(struct progress *p, int bar, const char *word);
