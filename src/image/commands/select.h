/* SPDX-License-Identifier: Apache-2.0
 * Which images a list shows: --filter of docker's, and a name or a pattern. */
#pragma once

#include "base/options.h"
#include "image/library/image.h"

struct selection {
	struct strv patterns, labels, unlabels; /* of --filter */
	const char *word;                       /* a name, or a pattern; NULL: any. Borrowed */
	int dangling;                           /* 1, 0, or -1: either */
	int64_t before_ns, since_ns;            /* of the creation; INT64_MAX, INT64_MIN: any */
};
/* Reads the options: 0; -EINVAL; -ENOENT if an image of before= or since= is not there. */
int selection_read(struct library *l, const struct options *o, struct selection *ret, struct error **err);
void selection_done(struct selection *s);
#define AUTO_SELECTION CLEANUP(selection_done)
/* Whether the entry is shown; its configuration is read where a filter asks for that. */
int selection_passes(const struct selection *s, struct library *l, const struct library_entry *e);
