/* SPDX-License-Identifier: Apache-2.0
 * The cache of earlier builds: `build/HEX` in the library, a small JSON file for each key.
 *
 * A key is the digest of all that a step depends on: the layers below it, its command, and the
 * bytes that it reads. Times, names of images and places on the host are not part of it. A record
 * names the step's layer; one whose layer is gone is none. Keeping the layers: sweep.c in
 * src/image/commands. */
#pragma once

#include "image/builder/state.h"

/* Whether there is a layer for the key; its media type is owned. */
int build_cache_find(struct library *l, const char *key, struct build_layer *ret);
void build_cache_store(struct library *l, const char *key, const struct build_layer *layer);
/* The same under a second key, whose record names the first one; and that name: 1, 0. */
void build_cache_store_second(struct library *l, const char *key, const char *first, const struct build_layer *layer);
int build_cache_first_key(struct library *l, const char *key, char *ret);
/* The same for a whole image: the digest of its manifest. */
int build_cache_find_image(struct library *l, const char *key, char *ret_digest);
void build_cache_store_image(struct library *l, const char *key, const char *digest);
