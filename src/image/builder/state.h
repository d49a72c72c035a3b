/* SPDX-License-Identifier: Apache-2.0
 * An image while it is built: what the instructions of a stage have made so far. A stage begins
 * with the state of an image, of another stage, or of nothing; each instruction changes it, and the
 * last one's is written as an image.
 *
 * Times are not part of a state: an image of the same configuration and layers keeps the time of
 * the first build, so that a build that changes nothing makes no new image. */
#pragma once

#include <stdint.h>

#include "base/json.h"
#include "image/build/pairs.h"
#include "image/common/hash.h"
#include "image/library/contents.h"

struct build_layer {
	char *media_type;
	char digest[DIGEST_TEXT_SIZE + 1], diff_id[DIGEST_TEXT_SIZE + 1]; /* digest "": no layer, nothing changed */
	uint64_t size;
	int is_copied; /* made by COPY, ADD or WORKDIR of this stage: it has files, and deletes none */
};

/* A state's files, read when something asks for them. */
struct build_listing {
	struct content_pool pool;
	struct contents contents;
	size_t *first; /* of each layer: how many entries the pool had before it */
	size_t layers; /* that are in it */
};

struct build_state {
	struct json_object *config;  /* the inner object: Env, Cmd, ... */
	struct json_object *history; /* an array */
	struct oci_platform platform;
	char *author;              /* or NULL */
	struct json_object *cache; /* records of the cache, for the image's configuration; or NULL */
	struct build_layer *layers;
	size_t layer_count;
	struct pairs args;                                /* of ARG */
	struct pairs env;                                 /* Env of config, if env_state says so */
	enum { ENV_UNREAD, ENV_READ, ENV_OWN } env_state; /* own: the array has the same places */
	char chain[DIGEST_TEXT_SIZE + 1];                 /* names the layers, in their order */
	struct build_listing files, hashed;               /* without and with the digests of files */
};

struct build_state *build_state_new(const struct oci_platform *platform); /* of nothing: scratch */
struct build_state *build_state_copy(const struct build_state *s);        /* its args, too */
/* The same with the first layers alone. */
struct build_state *build_state_copy_below(const struct build_state *s, size_t layers);
/* The state of an image of the library. 0 or -errno. */
int build_state_load(struct library *l, const char *digest, struct build_state **ret, struct error **err);
void build_state_free(struct build_state *s);
DEFINE_CLEANUP(struct build_state, build_state_free)
#define AUTO_BUILD_STATE CLEANUP(build_state_freep)

/* Puts a layer on top, unless it is empty, and a step into the history. */
void build_state_add(struct build_state *s, const struct build_layer *layer, const char *created_by);
/* Gives the layers from `first` on no time behind the epoch (timestamps.h). 0 or -errno. */
int build_state_clamp(struct library *l, struct build_state *s, size_t first, int64_t epoch, struct error **err);
/* Reads the files of all layers; hashed: with the digests of what they hold. Borrowed; the next
 * layer makes it an old one. 0 or -errno. */
int build_state_list(struct library *l, struct build_state *s, int hashed, const struct build_listing **ret,
    struct error **err);

/* Members of config, with what holds where there is none. */
const char *build_state_text(const struct build_state *s, const char *key, const char *otherwise); /* borrowed */
void build_state_words(const struct build_state *s, const char *key, struct strv *to);
/* The value of a variable, ENV before ARG; borrowed until the next call; NULL: it is not set. The
 * `get` of a struct expand_scope. */
const char *build_state_get(void *state, const char *name);

/* Sets a variable of ENV. */
void build_state_set_env(struct build_state *s, const char *name, const char *value);

/* Writes the image. `annotations` (of the manifest) may be NULL. epoch: the time of all, in
 * seconds; -1: now. ret_digest: of the manifest, DIGEST_TEXT_SIZE + 1 bytes. */
int build_state_write(struct library *l, const struct build_state *s, struct json_object *annotations, int64_t epoch,
    char *ret_digest, struct error **err);
/* Writes an image that has the layers alone, for a container to run in. */
int build_state_write_layers(struct library *l, const struct build_state *s, char *ret_digest, struct error **err);

/* A state as JSON (owned), and back, for another process of this build. 0 or -errno. */
struct json_object *build_state_to_json(const struct build_state *s);
int build_state_from_json(struct json_object *o, struct build_state **ret, struct error **err);
