/* SPDX-License-Identifier: Apache-2.0
 * The differences of two trees, as lines. */
#pragma once

#include "base/format.h"
#include "image/library/contents.h"

struct changes {
	struct contents_change *items; /* their entries are borrowed */
	size_t count, room;
};
void changes_done(struct changes *c);
#define AUTO_CHANGES CLEANUP(changes_done)

void changes_add(struct changes *c, const struct contents_change *change);
/* All differences in the order of paths. Of a deleted directory, and of one that something else
 * replaced, only the top is there. */
void changes_find(const struct contents *before, const struct contents *now, struct changes *ret);
/* "A /path" and so on, or rows by a format. */
int changes_print(const struct changes *all, const struct format *format, struct error **err);
