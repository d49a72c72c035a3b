/* SPDX-License-Identifier: Apache-2.0
 * Sending one blob or manifest to a registry (OCI distribution specification 1.1, "Push"): steps of
 * a fetch. */
#pragma once

#include "image/library/library.h"
#include "image/registry/fetch.h"

/* The upload of one blob. upload_init() fills it; it keeps its address until fetch_run() has
 * returned. */
struct upload {
	struct fetch fetch;
	struct fetch_context *context;
	struct library *library;
	const struct oci_descriptor *descriptor; /* borrowed */
	const char *mount_from;                  /* repository of the same registry that has it; borrowed, or NULL */
	uint64_t chunk;                          /* bytes of a PATCH; 0: the whole in one PUT */
	int skip_only;                           /* never sent: only looked for */
	enum upload_step { UPLOAD_CHECK, UPLOAD_START, UPLOAD_WHOLE, UPLOAD_CHUNK, UPLOAD_CLOSE } step;
	uint64_t offset; /* bytes that the registry has confirmed */
	struct request_body body;
	char *path, *what, *location, *range;
};

enum { UPLOAD_CHUNK_MIN = 1 << 20 };
#define UPLOAD_CHUNK_FALLBACK ((uint64_t)32 << 20) /* of a registry that refuses the whole */

void upload_init(struct upload *u, struct fetch_context *c, struct library *l, const struct oci_descriptor *d);
void upload_done(struct upload *u);

/* Sends a manifest under a tag or digest. media_type and data are borrowed. 0 or -errno. */
int upload_manifest(struct fetch_context *c, const char *tag_or_digest, const char *media_type, const char *digest,
    const char *data, size_t size, struct error **err);
