/* SPDX-License-Identifier: Apache-2.0
 * The history of an image: the steps that its configuration lists (OCI image specification 1.1,
 * config.md, "history"). Nothing depends on it; people read it. */
#pragma once

#include "base/error.h"

struct oci_step {
	char *created, *created_by, *author, *comment; /* or NULL */
	int empty_layer;                               /* made no layer */
};
struct oci_history {
	struct oci_step *steps; /* the oldest first */
	size_t count;
};

/* Reads the history of a configuration; a missing one has no steps. 0 or -errno with a text. `name`
 * names the image in errors. */
int oci_history_parse(const char *data, size_t size, const char *name, struct oci_history *ret, struct error **err);
void oci_history_done(struct oci_history *h);
#define AUTO_OCI_HISTORY CLEANUP(oci_history_done)
