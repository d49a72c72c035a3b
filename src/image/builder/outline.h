/* SPDX-License-Identifier: Apache-2.0
 * The outline of a layer: its tar stream without the bytes of files, `build/outline-HEX` in the
 * library.
 *
 * COPY and WORKDIR ask which directories and symlinks the layers below have. To read a layer of a
 * gigabyte for that takes seconds, its outline milliseconds. It is made when a layer is listed
 * first, and goes with the layer (src/image/commands/sweep.c).
 *
 * COPY --from asks for the digests of files, too. They are `build/digests-HEX`, a line for each
 * entry of the outline, in its order. */
#pragma once

#include "image/builder/state.h"

/* Lists a layer on top of others, as contents_add_blob() does, into a pool that is plain. 0 or
 * -errno. */
int outline_add(struct library *l, const struct build_layer *layer, struct content_pool *pool, struct contents *c,
    struct error **err);
/* The same into a pool that is not plain: with digests, sizes and extended attributes. */
int outline_add_hashed(struct library *l, const struct build_layer *layer, struct content_pool *pool,
    struct contents *c, struct error **err);
