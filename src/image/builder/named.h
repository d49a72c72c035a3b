/* SPDX-License-Identifier: Apache-2.0
 * --build-context NAME=VALUE: what FROM NAME and --from=NAME mean in place of an image.
 *
 *   DIR, a URL, a git repository   a directory; COPY and RUN --mount take files from it
 *   docker-image://IMAGE           another image
 *   oci-layout://DIR[:TAG]         the image of a layout, which gets no name in the library */
#pragma once

#include "image/builder/step.h"

/* Whether the name is one of them. */
int build_named_is_one(const struct builder *b, const char *name);
/* The directory: 1 and *ret (borrowed); 0: the name is none, or an image; -errno. */
int build_named_directory(struct builder *b, const char *name, struct build_context **ret, struct error **err);
/* The state of the image. 0; -EINVAL: it is a directory; -errno. */
int build_named_image(struct builder *b, const char *name, const char *platform, struct build_state **ret,
    struct error **err);
void build_named_done(struct builder *b);
