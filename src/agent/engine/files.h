/* SPDX-License-Identifier: Apache-2.0
 * Files and variables that a client puts into a container for its next start alone, as a build
 * does with secrets.
 *
 * PUT /containers/ID/archive?holmFiles=1 has them as a tar stream: the files that "HolmFiles" of
 * the create names, and `env` with "NAME=VALUE" texts, a NUL character behind each. They lie in
 * ENGINE_RUN, which is a tmpfs, and go when the container has ended. No record has them. */
#pragma once

#include "agent/engine/engine.h"

enum { FILES_TOTAL_MAX = 20 << 20 };

/* Makes the folder, root's of the container. A descriptor, or -errno. */
int files_folder(const struct container *c, struct error **err);
/* A detached mount of one of the files: a descriptor, or -errno. */
int files_tree(const struct container *c, const char *name);
/* Adds the variables. 0 or -errno. */
int files_env(const struct container *c, struct strv *to, struct error **err);
