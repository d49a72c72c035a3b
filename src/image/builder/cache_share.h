/* SPDX-License-Identifier: Apache-2.0
 * The cache of builds on its way to another machine and back: --cache-to and --cache-from.
 *
 * A key says what a step depends on, and nothing of the host, so another machine finds the step by
 * the same key. Records (key, layer) travel in two ways:
 *
 *   local    a folder, an OCI image layout: the manifest's configuration has the records, its
 *            layers are theirs
 *   inline   the image's own configuration has them, as a member of its own
 *
 * What is imported is hostile. A layer is taken when a step asks for its key, and after its digest,
 * size, diff_id and entries have been checked. The person who names a cache trusts it with what its
 * layers hold. */
#pragma once

#include "image/builder/step.h"

struct cache_target {
	char *folder;  /* of type=local; or NULL */
	int is_inline; /* type=inline */
	int is_whole;  /* mode=max: the layers of all stages, not the image's alone */
};

/* Reads --cache-to. 0 or -EINVAL. */
int cache_target_parse(const char *text, struct cache_target *ret, struct error **err);
void cache_target_done(struct cache_target *t);

/* Checks the words of --cache-from and --cache-to. 0 or -EINVAL. */
int build_cache_check(const struct build_options *o, struct error **err);
/* Reads the records of each --cache-from. One that cannot be read is a note, not an error. 0, or
 * -errno of an interrupt. */
int build_cache_import(struct builder *b, struct error **err);
/* Writes what the build has used to each --cache-to of type=local. 0 or -errno. */
int build_cache_export(struct builder *b, struct error **err);
/* The member for the image's configuration, if there is a --cache-to of type=inline; owned, or
 * NULL. */
struct json_object *build_cache_inline(struct builder *b);
void build_cache_shared_done(struct builder *b);

/* A layer of an imported record, checked and in the library by now. 1, 0 */
int build_cache_find_imported(struct builder *b, const char *key, struct build_layer *ret);
/* Notes that the build has used this record. */
void build_cache_note(struct builder *b, const char *key, const struct build_layer *layer);
/* The notes behind the first `from` of them, as text; owned. And the way back. */
char *build_cache_notes_text(const struct builder *b, size_t from);
void build_cache_take_notes(struct builder *b, const char *text);
size_t build_cache_note_count(const struct builder *b);
