/* SPDX-License-Identifier: Apache-2.0
 * Manifests and indexes: OCI image specification 1.1 (manifest.md, image-index.md, descriptor.md)
 * and the Docker forms that mean the same (image manifest version 2 schema 2, manifest list). Every
 * count and size in them is capped here, so whoever uses them need not. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_TYPE_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define OCI_TYPE_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define OCI_ANNOTATION_NAME "org.opencontainers.image.ref.name"
#define OCI_ANNOTATION_BASE "org.opencontainers.image.base.digest" /* the image below */

enum {
	OCI_DOCUMENT_MAX = 4 << 20, /* bytes of an index, manifest or configuration */
	OCI_LAYERS_MAX = 500,       /* as many as Linux's overlay lays over each other (OVL_MAX_STACK) */
	OCI_MANIFESTS_MAX = 4096,
};
#define OCI_LAYER_SIZE_MAX ((uint64_t)1 << 40)

struct oci_platform {
	char *os, *architecture, *variant; /* words or NULL; "unknown/unknown" marks attestations */
};

/* Returns whether text can be one of them: 1 to 64 letters, digits, `.`, `_` and `-`. */
int oci_platform_word(const char *text);

struct oci_descriptor {
	char *media_type; /* never NULL, may be "" */
	char *digest;     /* valid */
	uint64_t size;
	struct oci_platform platform; /* all NULL when not said, or not in words */
	char *name;                   /* OCI_ANNOTATION_NAME or io.containerd.image.name, or NULL */
};

struct oci_index {
	struct oci_descriptor *manifests;
	size_t count;
};

struct oci_manifest {
	char *media_type;    /* its own word, or NULL */
	char *artifact_type; /* or NULL */
	struct oci_descriptor config;
	struct oci_descriptor *layers;
	size_t layer_count;
	struct json_object *annotations; /* or NULL */
};

enum oci_document { OCI_DOCUMENT_INDEX, OCI_DOCUMENT_MANIFEST };

/* Which of the two a document is. media_type (from the server, may be NULL) is believed only where
 * the document says nothing itself. -EINVAL for anything else; schema 1 is told by name. `name`
 * names the image in errors, here and below. */
int oci_document_kind(const char *data, size_t size, const char *media_type, const char *name, enum oci_document *ret,
    struct error **err);

int oci_index_parse(const char *data, size_t size, const char *name, struct oci_index **ret, struct error **err);
void oci_index_free(struct oci_index *i);
DEFINE_CLEANUP(struct oci_index, oci_index_free)
#define AUTO_OCI_INDEX CLEANUP(oci_index_freep)

int oci_manifest_parse(const char *data, size_t size, const char *name, struct oci_manifest **ret, struct error **err);
void oci_manifest_free(struct oci_manifest *m);
DEFINE_CLEANUP(struct oci_manifest, oci_manifest_free)
#define AUTO_OCI_MANIFEST CLEANUP(oci_manifest_freep)

/* The type of what is kept like an image and is none (image-spec 1.1, manifest.md, "Guidelines for
 * Artifact Usage"); borrowed. NULL: it is an image. */
const char *oci_manifest_artifact(const struct oci_manifest *m);

/* Whether a registry must have the layer. Some of those that need not be distributed are there all
 * the same. */
int oci_layer_is_distributable(const struct oci_descriptor *d);

int oci_descriptor_parse(struct json_object *o, const char *what, struct oci_descriptor *ret, struct error **err);
void oci_descriptor_done(struct oci_descriptor *d);

/* "linux/arm64/v8" or "arm64"; names as people write them (x86_64, aarch64) are translated. */
int oci_platform_parse(const char *text, struct oci_platform *ret, struct error **err);
/* Refuses an architecture that Linux programs are not made for: -EINVAL. */
int oci_platform_check(const struct oci_platform *p, struct error **err);
/* Whether the programs of `image` run on `host`. */
int oci_platform_runs(const struct oci_platform *host, const struct oci_platform *image);
void oci_platform_host(struct oci_platform *ret); /* this machine's, os always linux */
void oci_platform_done(struct oci_platform *p);
#define AUTO_OCI_PLATFORM CLEANUP(oci_platform_done)
char *oci_platform_to_string(const struct oci_platform *p); /* "linux/amd64"; owned */
/* How well `offered` serves `wanted`: 0 not at all, else higher is better. arm variants run older
 * ones (v7 runs v6); nothing said is the base. */
int oci_platform_match(const struct oci_platform *wanted, const struct oci_platform *offered);
/* The best manifest of an index for a platform; borrowed. -ENOENT with a text that lists what there
 * is. */
int oci_index_choose(const struct oci_index *i, const struct oci_platform *wanted, const char *name,
    const struct oci_descriptor **ret, struct error **err);
