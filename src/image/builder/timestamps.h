/* SPDX-License-Identifier: Apache-2.0
 * SOURCE_DATE_EPOCH: no file of a layer is newer than that, so that the same files are the same
 * bytes. Files of the base keep their times. */
#pragma once

#include "image/builder/state.h"

/* Writes the layer again with times of `epoch` (seconds) in place of later ones. 0 or -errno. */
int build_layer_clamp(struct library *l, int64_t epoch, struct build_layer *layer, struct error **err);
