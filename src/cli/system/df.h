/* SPDX-License-Identifier: Apache-2.0
 * Parts of `holm system df`. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/options.h"

/* The cache of builds in the library. */
struct df_cache {
	struct json_object *entries; /* as GET /system/df has them; NULL: there was no build */
	uint64_t bytes, layers;      /* that images do not share; layers: those among the library's blobs */
};
void df_cache_done(struct df_cache *c);
#define AUTO_DF_CACHE CLEANUP(df_cache_done)

/* images: the library's folder. 0 or -errno. */
int df_cache_read(const char *images, struct df_cache *ret, struct error **err);
/* Shows the entries that a row has, as a table. */
void df_cache_print(struct json_object *rows);

/* df_details.c: each image, container and volume of one machine; the exit status. */
int df_details_print(const struct command_spec *c, struct options *o);
