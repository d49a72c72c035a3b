/* SPDX-License-Identifier: Apache-2.0
 * The trees of an image's layers, for native machines: made once, beside the library
 * (docs/images.md). */
#pragma once

#include "base/strv.h"
#include "image/common/progress.h"
#include "image/library/image.h"

/* The ids of a tree's files: a machine's, or those of the containers in it
 * (idmap_for_containers()). */
enum tree_ids { TREE_OF_MACHINE, TREE_OF_CONTAINERS };

/* Makes those trees of the image's layers that are not there, and finds the image's init in the
 * whole. Two processes do the work once. ret_trees: paths, lowest first; ret_init (NULL: the image
 * has none): owned. The layers are verified against the configuration's diff_ids. -ENOENT with the
 * command that adds subordinate ids where root has none; an ordinary user's trees then have one
 * owner. */
int tree_cache_prepare(struct library *l, const struct image *i, enum tree_ids ids, struct progress *p,
    struct strv *ret_trees, char **ret_init, struct error **err);
/* Whether nothing would have to be made: then the image's layers need not be in the library. */
int tree_cache_is_whole(struct library *l, const struct image *i, enum tree_ids ids);

/* The paths of the machines' trees that the image has now, lowest first; none where they were not
 * made. */
void tree_cache_list(struct library *l, const struct image *i, struct strv *ret);

/* The part of a tree's name in front of "-TAG-v1": of layer k of the image when it stands alone,
 * and when it fits only those below. Owned. */
char *tree_cache_name(const struct image *i, size_t k);
char *tree_cache_chained_name(const struct image *i, size_t k);
enum { TREE_NAME_TAIL = 12 }; /* bytes of "-TAG-v1" */
#define TREE_TEMPORARY ".making-"

struct tree_sweep {
	const struct strv *names, *whole_names; /* of trees that stay: without TAG, and whole */
	const struct strv *images;              /* "sha256-HEX" of images whose facts stay */
	int dry_run;                            /* delete nothing */
	int measure;                            /* find out the size */
	uint64_t count, bytes;                  /* results: trees, their space on the disk */
	uint64_t young;                         /* result: trees that stay because they are new */
};
/* Deletes the other trees, and the leftovers of dead processes. Nobody else has the library
 * open. */
void tree_cache_sweep(struct library *l, struct tree_sweep *t);
