/* SPDX-License-Identifier: Apache-2.0
 * Removing machines' cgroups (version 2, cgroups(7)), and the file that tells where a machine's
 * is. */
#pragma once

#include "idmap/idmap.h"

#define NATIVE_CGROUP_STATE "cgroup" /* in machines/NAME/native: the path of the machine's cgroup */

/* Writes a file of a cgroup: 0 or -errno. */
int cgroup_write(const char *directory, const char *name, const char *text);
/* Whether something lives in it or below. */
int cgroup_is_populated(const char *path);
/* Removes the cgroups below an unpopulated one, as the user's ids where they are not the user's
 * own: 0, also when there is none; -EBUSY while something lives there. */
int cgroup_tree_empty(const struct idmap *ids, const char *path);
/* The same, and the cgroup itself. */
int cgroup_tree_remove(const struct idmap *ids, const char *path);
/* The file `state` holds the path of a cgroup whose machine is gone: kills what is left in it, and
 * removes it and the file. A missing file is fine; a path that no machine of holm's can have is
 * left alone. A cgroup that cannot be removed is logged with the reason, and the file stays. */
void cgroup_tree_forget(const char *state);
