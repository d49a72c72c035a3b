/* SPDX-License-Identifier: Apache-2.0
 * All platforms of an image: an index of the library (OCI image specification 1.1, image-index.md)
 * with the manifests that it names. Some of these are no images: attestations and other artifacts,
 * which are kept and passed on as they are. */
#pragma once

#include "base/strv.h"
#include "image/library/library.h"

enum { BUNDLE_MANIFESTS_MAX = 256, BUNDLE_BLOBS_MAX = 16384 };

struct bundle_item {
	struct oci_descriptor descriptor; /* as the index has it */
	struct oci_manifest *manifest;
};
struct bundle {
	char *digest, *media_type; /* of the index */
	char *data;                /* its bytes */
	size_t size;
	struct bundle_item *items;
	size_t count;
};
void bundle_free(struct bundle *b);
DEFINE_CLEANUP(struct bundle, bundle_free)
#define AUTO_BUNDLE CLEANUP(bundle_freep)

/* Whether this is the media type of an index, in OCI's or Docker's words. */
int bundle_is_index(const char *media_type);
/* Makes a bundle of an index's bytes, which it takes, without its manifests. media_type: as the
 * server says, or NULL. 0; -EFBIG for too many manifests, -EOPNOTSUPP for an index in the index,
 * -errno. */
int bundle_parse(char *data, size_t size, const char *media_type, const char *name, struct bundle **ret,
    struct error **err);
/* Reads the index and its manifests. 0; -ENOENT if a manifest is missing. */
int bundle_load(struct library *l, const struct oci_descriptor *index, const char *name, struct bundle **ret,
    struct error **err);
/* The index that the library has for a name; else one that is made of the manifests with this name,
 * and is a blob, too. -ENOENT: there are none, or a manifest is missing. */
int bundle_of_name(struct library *l, const char *name, struct bundle **ret, struct error **err);
/* The digests of all its blobs, with its own. */
void bundle_list_blobs(const struct bundle *b, struct strv *ret);
