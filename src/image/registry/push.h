/* SPDX-License-Identifier: Apache-2.0
 * Bringing an image from the library to a registry. */
#pragma once

#include "image/common/progress.h"
#include "image/library/bundle.h"
#include "image/library/image.h"
#include "image/registry/credentials.h"

struct push_options {
	int insecure;        /* --tls-verify=false */
	int all;             /* platforms of a name */
	uint64_t chunk_size; /* bytes of a piece; 0: blobs whole */
	struct progress *progress;
	const struct credentials *login; /* in place of the person's own; or NULL */
};

/* Sends the image, which must be whole, to the name `to`. What the registry has is not sent again;
 * the manifest goes last. 0 or -errno. */
int image_push(struct library *l, const struct image *i, const struct reference *to, const struct push_options *o,
    struct error **err);
/* Sends all manifests of the index with their blobs, then the index, all as they are. */
int bundle_push(struct library *l, const struct bundle *b, const struct reference *to, const struct push_options *o,
    struct error **err);
