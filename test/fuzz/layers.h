/* SPDX-License-Identifier: Apache-2.0
 * An input as two layers over one another, its halves, for what is made of tar. Headers get right
 * checksums first, or no mutation would come past them. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "oci/tar.h"

enum { LAYERS = 2, BLOCK = 512, PIECE = 700 };

struct layer_source {
	const uint8_t *data;
	size_t size, at;
};

struct layers {
	uint8_t *copy; /* of the input */
	struct layer_source sources[LAYERS];
};

static inline ssize_t layer_give(void *data, const void **ret, struct error **err)
{
	struct layer_source *s = data;
	size_t n = MIN(s->size - s->at, (size_t)PIECE);
	*ret = s->data + s->at;
	s->at += n;
	return (ssize_t)n;
}

static inline void header_repair(uint8_t *h)
{
	unsigned sum = 0;
	char text[8];
	if (memcmp(h + 257, "ustar", 5) != 0)
		return;
	memset(h + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf(text, sizeof text, "%06o", sum & 0777777);
	memcpy(h + 148, text, 7);
}

static inline void layers_init(struct layers *l, const uint8_t *data, size_t size)
{
	size_t half = size / 2 / BLOCK * BLOCK;
	uint8_t *copy = xmemdup(data, size);
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
		header_repair(copy + at);
	*l = (struct layers){ .copy = copy, .sources = { { copy, half, 0 }, { copy + half, size - half, 0 } } };
}

static inline void layers_done(struct layers *l)
{
	free(l->copy);
}
