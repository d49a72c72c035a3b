/* SPDX-License-Identifier: Apache-2.0
 * The decoder of gzip for layer_decode.c: a row of its table. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct gzip_decoder;

/* Aborts without memory, as base/alloc.h does. */
struct gzip_decoder *gzip_decoder_new(void);
void gzip_decoder_free(struct gzip_decoder *d);
/* As decode of struct layer_codec. */
ssize_t gzip_decode(struct gzip_decoder *d, const unsigned char **in, size_t *in_size, void *out, size_t out_size,
    struct error **err);
/* Whether the input may end here. */
int gzip_decoder_complete(const struct gzip_decoder *d);
