/* SPDX-License-Identifier: Apache-2.0
 * The read-only disk of an image: made once, beside the library, by src/disk. */
#pragma once

#include "image/common/progress.h"
#include "image/library/image.h"

/* The path of the disk of the image with this manifest digest, which need not exist. Owned. */
char *disk_cache_path(struct library *l, const char *digest);
/* Makes the disk unless it is there, and finds the image's init in it. Two processes make it once.
 * ret_path, ret_init (NULL: the image has none): owned. The layers are verified against the
 * configuration's diff_ids while they are read. */
int disk_cache_prepare(struct library *l, const struct image *i, struct progress *p, char **ret_path, char **ret_init,
    struct error **err);
