/* SPDX-License-Identifier: Apache-2.0
 * From the paths that are to be hidden, as typed, to names beneath the shared directory. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

struct hide_list {
	struct strv *paths; /* components from the shared directory; none at all when that lies inside a hidden path */
	size_t count;
};

/* Paths that are not beneath root are left out. A path may lead through symlinks: both the names as
 * they are written and the place they lead to are listed. What does not exist (yet) counts too. */
int hide_list_resolve(struct hide_list *l, const char *root, const struct strv *paths, struct error **err);
void hide_list_done(struct hide_list *l);
