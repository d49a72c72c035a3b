/* SPDX-License-Identifier: Apache-2.0
 * How root's agent comes to holm's own folders; see view.c. */
#pragma once

#include "isolation/native/run.h"

enum { NATIVE_VIEW_MAX = 6 };

struct native_view_folder {
	char *path, *cover;
	int mount; /* detached, of path */
};

struct native_view {
	struct native_view_folder folders[NATIVE_VIEW_MAX];
	size_t count;
};

/* Takes mounts of what this machine's agent needs; the rights of the folders are set on the way. v
 * is zeroed before. */
int native_view_prepare(const struct isolation_run *run, struct native_view *v, struct error **err);
/* In the child, where the mounts are the descriptors from first_fd on, which it closes. 0 or
 * -errno. */
int native_view_enter(const struct native_view *v, int first_fd);
void native_view_done(struct native_view *v);
