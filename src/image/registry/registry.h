/* SPDX-License-Identifier: Apache-2.0
 * A client of one repository in a registry (OCI distribution specification 1.1, "Pull"), its
 * mirrors included. */
#pragma once

#include "image/common/progress.h"
#include "image/library/library.h"
#include "image/registry/credentials.h"
#include "oci/reference.h"

struct registry;
/* insecure: --tls-verify=false. Nothing is sent yet. */
int registry_open(const struct reference *ref, int insecure, struct progress *p, struct registry **ret,
    struct error **err);
/* Logs in with these credentials alone (copied), and looks for no others. Mirrors do not get
 * them. */
void registry_set_login(struct registry *g, const struct credentials *c);
void registry_free(struct registry *g);
DEFINE_CLEANUP(struct registry, registry_free)
#define AUTO_REGISTRY CLEANUP(registry_freep)

struct document {
	char *data; /* NUL-terminated */
	size_t size;
	char *media_type; /* as the server says, or NULL */
	char digest[72];  /* of data */
};
void document_done(struct document *d);
#define AUTO_DOCUMENT CLEANUP(document_done)

/* The manifest or index that a tag or digest names; a digest is verified. */
int registry_get_manifest(struct registry *g, const char *tag_or_digest, struct document *ret, struct error **err);
/* An image's configuration, verified. */
int registry_get_config(struct registry *g, const char *digest, struct document *ret, struct error **err);
/* Brings the blobs that the library lacks, several at once; each is verified. s (may be NULL):
 * those that are read along, all of them to their end when this returns. */
int registry_get_blobs(struct registry *g, struct library *l, const struct oci_descriptor *const *list, size_t count,
    struct streams *s, struct error **err);
