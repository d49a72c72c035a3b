/* SPDX-License-Identifier: Apache-2.0
 * One image of the library with its documents read and checked. */
#pragma once

#include "image/library/library.h"
#include "oci/config.h"
#include "oci/manifest.h"
#include "oci/reference.h"

struct image {
	char *name;   /* canonical reference; NULL when it was found by its digest and has none */
	char *digest; /* of the manifest */
	struct oci_manifest *manifest;
	struct oci_config *config;
	const char *artifact; /* the type of an artifact, whose `config` is empty; borrowed. NULL: an image */
	uint64_t size;        /* of all blobs, bytes */
};

void image_free(struct image *i);
DEFINE_CLEANUP(struct image, image_free)
#define AUTO_IMAGE CLEANUP(image_freep)

/* Reads manifest and configuration of the manifest with this digest. name may be NULL. The number
 * of layers and of diff_ids must agree. -ENOTSUP for an artifact. */
int image_load(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err);
/* Like image_load, and every layer must be there with its size: -ENOENT else. */
int image_load_whole(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err);
/* Like these, for artifacts, too. */
int image_load_any(struct library *l, const char *name, const char *digest, struct image **ret, struct error **err);
int image_load_any_whole(struct library *l, const char *name, const char *digest, struct image **ret,
    struct error **err);

/* The digest that the image says to be made from, as a commit's does; else "". Borrowed. */
const char *image_parent(const struct image *i);

/* Finds what a person named: a reference, or (12 or more hexadecimal digits, "sha256:" allowed in
 * front) the beginning of an image's digest. A short name is looked for among the images that were
 * made on this host ("localhost/NAME"), then among docker.io's. platform NULL: this machine's if
 * there is one, else whatever there is. ret_digest: of the manifest; ret_name: the canonical name,
 * both owned. -ENOENT with a text that says how to get it. */
int image_find(struct library *l, const char *text, const struct oci_platform *platform, char **ret_name,
    char **ret_digest, struct error **err);

/* Whether the text is that canonical name, or short for it, rather than a digest. name may be
 * NULL. */
int image_is_named(const char *text, const char *name);

/* Names a manifest that is already a blob, after checking that all of it is there and that it is
 * for this platform; an artifact is for all. name may be NULL to check only. */
int image_register(struct library *l, const char *name, const char *digest, const struct oci_platform *wanted,
    struct error **err);
/* Keeps such a manifest without a name, until it is removed or pruned. */
int image_register_nameless(struct library *l, const char *digest, struct error **err);
