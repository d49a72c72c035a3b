/* SPDX-License-Identifier: Apache-2.0
 * Hidden paths: from absolute paths, as typed, to names beneath the shared directory. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

struct hide_list {
	struct strv *paths; /* components from the shared directory; none when the whole share lies in a hidden path */
	size_t count;
};

/* Lists the paths that lie beneath root. If a path leads through symlinks, both the typed and the
 * real path are listed. A path need not exist (yet). 0, -EINVAL for a relative path, -errno. */
int hide_list_resolve(struct hide_list *l, const char *root, const struct strv *paths, struct error **err);
void hide_list_done(struct hide_list *l);
