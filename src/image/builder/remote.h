/* SPDX-License-Identifier: Apache-2.0
 * A context that is elsewhere: a git repository, or an archive or a Dockerfile behind a URL. */
#pragma once

#include "image/builder/upload.h"

/* Whether the text of a context names such a place. */
int build_remote_is_one(const char *text);
/* Gets it. keeps_git: of a repository, with its .git. 0 or -errno. */
int build_remote_read(struct library *l, const char *text, int keeps_git, struct build_upload *ret, struct error **err);
