/* SPDX-License-Identifier: Apache-2.0
 * The layer that the engine sends after a RUN, on its way into the library. */
#pragma once

#include "image/builder/engine.h"
#include "image/builder/state.h"

/* Writes it without its root directory, and without what is at or below the paths ("/run/secrets")
 * of `without`. No layer is made of nothing: of directories that are the same `below`. 0 or
 * -errno. */
int run_layer_write(struct library *l, struct build_stream *from, const struct strv *without, struct build_state *below,
    struct build_layer *ret, struct error **err);
