/* SPDX-License-Identifier: Apache-2.0
 * Making images: a layer of a tar stream, a configuration, a manifest. */
#pragma once

#include "base/json.h"
#include "image/library/blob.h"

enum layer_compression {
	LAYER_GZIP,       /* fast; its bytes differ between processors */
	LAYER_GZIP_FIXED, /* the same bytes on each processor */
	LAYER_ZSTD,
};

/* A tar stream on its way into the library: hashed before and after it is compressed. */
struct layer_writer {
	struct blob_writer blob;
	struct hash diff;
	enum layer_compression compression;
	void *stream;  /* struct gzip_stream, z_stream or ZSTD_CCtx */
	uint64_t size; /* of the tar stream */
};
int layer_writer_open(struct library *l, enum layer_compression compression, struct layer_writer *w,
    struct error **err);
int layer_writer_write(struct layer_writer *w, const void *data, size_t size, struct error **err);
void layer_writer_abort(struct layer_writer *w);

struct composed_layer {
	const char *media_type; /* static */
	char digest[DIGEST_TEXT_SIZE + 1], diff_id[DIGEST_TEXT_SIZE + 1];
	uint64_t size; /* of the blob */
};
/* Ends the stream; w is done after, also when it fails. */
int layer_writer_finish(struct layer_writer *w, struct composed_layer *ret, struct error **err);

struct compose_facts {
	struct json_object *config;          /* the inner "config" object: Env, Labels, ...; borrowed */
	struct json_object *annotations;     /* of the manifest; borrowed, or NULL */
	const struct oci_platform *platform; /* NULL: this machine's */
	const char *comment;                 /* of the one step of its history; NULL: it has none */
};
/* Writes configuration and manifest of an image with one layer. ret_digest: of the manifest,
 * DIGEST_TEXT_SIZE + 1 bytes. */
int compose_image(struct library *l, const struct composed_layer *layer, const struct compose_facts *facts,
    char *ret_digest, struct error **err);
/* Docker's name of a layer's type as the specification's (image-spec, "Compatibility Matrix");
 * others are as they are. Borrowed. */
const char *compose_layer_type(const char *type);
/* A descriptor as JSON. Owned. */
struct json_object *compose_descriptor(const char *media_type, const char *digest, uint64_t size);
/* Writes a manifest around the configuration and the layers (an array of descriptors, taken). */
int compose_manifest(struct library *l, struct json_object *config, struct json_object *layers,
    struct json_object *annotations, char *ret_digest, struct error **err);

struct compose_step {
	const char *comment, *author, *created_by; /* of the history; or NULL */
	const char *base;                          /* digest of the image below, for the manifest; or NULL */
};
/* Writes an image: the layers of another one, described by its configuration's text (`config`) and
 * its manifest, and one more on top. */
int compose_on(struct library *l, struct json_object *config, const struct oci_manifest *base,
    const struct composed_layer *layer, const struct compose_step *step, char *ret_digest, struct error **err);
