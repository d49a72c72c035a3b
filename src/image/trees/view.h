/* SPDX-License-Identifier: Apache-2.0
 * Several layer trees seen as overlayfs will show them (kernel:
 * Documentation/filesystems/overlayfs.rst): directories merge, other files hide what is below, a
 * character device 0:0 is a whiteout, "user.overlay.opaque" ends a directory. One component at a
 * time and never through a symlink, so that a tree's own symlinks lead nowhere. */
#pragma once

#include <sys/stat.h>

#include "base/error.h"
#include "base/macros.h"

#define TREE_XATTR_OPAQUE "user.overlay.opaque"

struct tree_view {
	const int *trees; /* directories, topmost first (O_PATH will do); borrowed */
	size_t count;
};

/* One directory of the view: those of the trees that it is merged of, topmost first. */
struct tree_directory {
	int *fds; /* owned */
	size_t count;
};
void tree_directory_done(struct tree_directory *d);
#define AUTO_TREE_DIRECTORY CLEANUP(tree_directory_done)

/* The root; trees below one whose root is opaque are not part of it. 0 or -errno. */
int tree_view_root(const struct tree_view *v, struct tree_directory *ret);
/* The directory `name` in d: 0, -ENOENT, -ENOTDIR (symlinks too), -errno. */
int tree_view_enter(const struct tree_directory *d, const char *name, struct tree_directory *ret);
/* Looks `name` up in d. 0, its stat and the descriptor (borrowed) of the directory that has it;
 * -ENOENT; -errno. */
int tree_view_look(const struct tree_directory *d, const char *name, struct stat *ret, int *ret_parent);

/* The first of paths (NULL-terminated list, absolute) that is, with symlinks followed inside the
 * view, a regular file that somebody may execute. *ret borrowed from paths. 0, -ENOENT when none
 * is, -errno. */
int tree_view_find_program(const struct tree_view *v, const char *const *paths, const char **ret);
