/* SPDX-License-Identifier: Apache-2.0
 * Layers made into trees by several processes at once, inside the user's mapping. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "idmap/idmap.h"

struct tree_layer {
	int tree;      /* its directory (O_PATH will do): empty, or whole where blob is -1; borrowed, as all here */
	int blob;      /* to make it from */
	int facts;     /* an empty file, for what is to be known of it: {"alone":bool,"skipped":[...],...} */
	uint64_t size; /* of the blob, bytes */
	const char *diff_id; /* "sha256:HEX" of the uncompressed layer */
	const char *name;    /* for error texts: "layer 3 (sha256:ab12...)" */
	int done;            /* result: the tree is whole */
};

struct tree_jobs {
	const struct idmap *ids;
	struct tree_layer *layers; /* lowest first */
	size_t count;
	void (*progress)(uint64_t done, void *data); /* blob bytes read, of all layers */
	void *data;
	size_t at_once;              /* layers; 0: one for each processor */
	const char *const *programs; /* looked for in the whole; absolute paths, NULL-terminated */
	const char *program;         /* result: the first that is there, or NULL */
	/* result: how many trees, from the topmost down, show anything: those below an opaque root
	 * do not */
	size_t shown;
};

/* Makes what is not whole. 0 or -errno with a text that names the layer and the entry, -ECANCELED
 * when a signal came; then the directories of those that are not done are empty again. */
int tree_jobs_run(struct tree_jobs *j, struct error **err);
/* Finds out what directories with all in them take on the disk, in bytes. 0 or -errno. */
int tree_jobs_measure(const struct idmap *ids, const int *directories, size_t count, uint64_t *ret, struct error **err);
/* Empties directories inside of the mapping. 0 or -errno. */
int tree_jobs_empty(const struct idmap *ids, const int *directories, size_t count, struct error **err);
