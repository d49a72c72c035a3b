/* SPDX-License-Identifier: Apache-2.0
 * The content of the cache of builds: records of steps with their layers, digests of contexts'
 * files, and the volumes of `RUN --mount=type=cache`, which are the engine's. */
#pragma once

#include "image/builder/engine.h"
#include "image/library/library.h"
#include "oci/digest.h"

enum usage_kind {
	USAGE_STEP,  /* a step's layer */
	USAGE_IMAGE, /* which image a configuration and layers make */
	USAGE_FILES, /* digests of a context's files */
	USAGE_MOUNT, /* a volume */
};

struct usage_item {
	enum usage_kind kind;
	char *id;                          /* HEX, files-HEX, or the volume's name */
	char *text;                        /* of a volume: its id; or NULL */
	char digest[DIGEST_TEXT_SIZE + 1]; /* of a step's layer, or an image; "" */
	uint64_t size;                     /* of a layer of several records, the last used one has it */
	int64_t created_ns, used_ns;
	int is_shared; /* an image of the library has the layer, or is the image: its removal frees nothing */
	int is_busy;   /* a container has the volume */
};

struct usage {
	struct usage_item *items; /* the one that was not used for the longest time first */
	size_t count;
};
void usage_done(struct usage *u);
#define AUTO_USAGE CLEANUP(usage_done)

/* Reads the records. 0 or -errno. */
int usage_read(struct library *l, struct usage *ret, struct error **err);
/* Finds out which of them images share. 0 or -errno. */
int usage_find_shared(struct library *l, struct usage *u, struct error **err);
/* Adds the volumes of the machine. 0 or -errno. */
int usage_add_mounts(struct build_engine *e, struct usage *u, struct error **err);
/* The bytes that the removal of all would free, or, before usage_find_shared(), at most. */
uint64_t usage_total(const struct usage *u);
/* As GET /system/df has an entry of its BuildCache; owned. */
struct json_object *usage_describe(const struct usage_item *i);
/* The word for its kind: regular, internal, source.local or exec.cachemount. */
const char *usage_type(const struct usage_item *i);
