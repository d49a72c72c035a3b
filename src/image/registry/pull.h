/* SPDX-License-Identifier: Apache-2.0
 * Bringing an image from its registry into the library. */
#pragma once

#include "image/common/progress.h"
#include "image/library/library.h"
#include "image/library/stream.h"
#include "image/registry/credentials.h"

struct pull_options {
	const struct oci_platform *platform; /* NULL: this machine's */
	int insecure;                        /* --tls-verify=false */
	int all;                             /* platforms, and the index with all that it names */
	int artifacts;                       /* artifacts are taken, too */
	struct progress *progress;
	const struct credentials *login; /* in place of the person's own; or NULL */
	/* A reader of the layers while they come in: start() forks it, when manifest and
	 * configuration are in the library, and end() waits for it. Both NULL: none. */
	void (*start)(void *data, const char *name, const char *digest, struct streams *s);
	void (*end)(void *data);
	void *data;
};

/* Pulls, verifies and names it. ret_name: the canonical reference, ret_digest: of the platform's
 * manifest; both owned. When it fails, the library has what it had before (downloads that can be
 * resumed are kept aside). */
int image_pull(struct library *l, const char *text, const struct pull_options *o, char **ret_name, char **ret_digest,
    struct error **err);
/* A remedy behind an error about a reference that is the name of a file or directory. Owned, begins
 * with "; "; NULL: it is none. */
char *pull_file_hint(const char *text);
