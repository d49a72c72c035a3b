/* SPDX-License-Identifier: Apache-2.0
 * Decoders of compressed streams, one table each: bytes in, bytes out, no threads. For layer.c. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct layer_decoder;

enum { LAYER_MAGIC_SIZE = 4 };

struct layer_codec {
	const char *name; /* "gzip" */
	unsigned char magic[LAYER_MAGIC_SIZE];
	size_t magic_size;
	struct layer_decoder *(*new)(void);
	void (*free)(struct layer_decoder *d);
	/* Decodes from *in (advanced, *in_size taken down) into out: bytes made, which may be 0
	 * when more input is needed. -errno with err set. */
	ssize_t (*decode)(struct layer_decoder *d, const unsigned char **in, size_t *in_size, void *out,
	    size_t out_size, struct error **err);
	/* Whether the input may end here. */
	int (*complete)(struct layer_decoder *d);
};

/* The codec for the first bytes of a stream: plain when nothing else fits. */
const struct layer_codec *layer_codec_find(const unsigned char *start, size_t size);
