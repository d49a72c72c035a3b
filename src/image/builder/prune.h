/* SPDX-License-Identifier: Apache-2.0
 * Removing parts of the cache of builds, those first that were not used for the longest time. A
 * record's layer goes with the next sweep of the library (src/image/commands/sweep.h), unless an
 * image or another record has it. */
#pragma once

#include "image/builder/usage.h"

struct build_prune {
	int all;                    /* also what images share */
	uint64_t keep;              /* bytes that stay in any case; with the next two 0: all that may stay */
	uint64_t keep_most;         /* bytes that may stay; 0: any number, if min_free is given */
	uint64_t min_free;          /* bytes that the file system is to have left; 0: any number */
	size_t keep_items;          /* 0: any number, within these bytes */
	const struct strv *filters; /* "KEY=VALUE"; or NULL */
};

struct build_pruned {
	struct strv ids;
	uint64_t bytes;
};
void build_pruned_done(struct build_pruned *p);
#define AUTO_BUILD_PRUNED CLEANUP(build_pruned_done)

/* engine: of the machine whose cache mounts count, or NULL: no machine. 0 or -errno; -EINVAL: no
 * such filter. */
int build_prune(struct library *l, struct build_engine *engine, const struct build_prune *o, struct build_pruned *ret,
    struct error **err);

/* The bytes that the cache may have after a build: cache-size of section [build], holm-config(5).
 * 0 or -errno. */
int build_cache_limit(struct library *l, uint64_t *ret, struct error **err);
/* The reader itself, for tests. *ret stays where nothing is said. */
int build_cache_limit_parse(const char *text, const char *path, uint64_t *ret, struct error **err);
/* Prunes the records to this limit, and to ten thousand: answers name each of them. Returns whether
 * something went, or -errno. */
int build_prune_records(struct library *l, struct error **err);
/* Prunes the machine's cache mounts to it, once a day. 0 or -errno. */
int build_prune_mounts(struct library *l, struct build_engine *engine, struct error **err);
