/* SPDX-License-Identifier: Apache-2.0
 * A directory of the host as the place that COPY and ADD take files from.
 *
 * Nothing is read that the directory does not hold: the walk goes by descriptors and follows no
 * symlink. A name that a pattern gives in full is resolved as if the directory were "/".
 *
 * A file's digest is kept with what stat(2) says of the file, so that the next build reads changed
 * files only. The note counts while device, inode, size and both times are the same, and not for a
 * file that was changed within the last two seconds before it was read: a second change could then
 * have the same times. */
#pragma once

#include "image/build/ignore.h"
#include "image/library/contents.h"

struct build_context;

/* Opens a directory. `ignore` may be NULL; taken, also when it fails. 0 or -errno. */
int build_context_open(const char *path, struct ignore *ignore, struct build_context **ret, struct error **err);
void build_context_free(struct build_context *c);
DEFINE_CLEANUP(struct build_context, build_context_free)
#define AUTO_BUILD_CONTEXT CLEANUP(build_context_freep)

/* Lists what is at a path ("/src") and below it: sorted, paths as from the directory, owners 0,
 * without digests. A path that is not there, or left out, adds nothing. Symlinks among its parts
 * are followed inside; the entries then have the path that they really have. 0 or -errno. */
int build_context_list(struct build_context *c, const char *path, struct content_pool *pool, struct contents *ret,
    struct error **err);
/* Lists the directories above a path alone. */
int build_context_list_parents(struct build_context *c, const char *path, struct content_pool *pool,
    struct contents *ret, struct error **err);
/* Whether the patterns leave a path out ("a/b"). */
int build_context_leaves_out(const struct build_context *c, const char *path);
/* Sets the digest of a listed file. 0 or -errno. */
int build_context_hash(struct build_context *c, struct content *file, struct error **err);
/* Opens a listed file: a descriptor, or -errno. -ESTALE: it has another size by now. */
int build_context_read(struct build_context *c, const struct content *file, struct error **err);
/* Keeps the digests for the next build of this directory, in this folder of the library. */
void build_context_save(struct build_context *c, const char *folder);
void build_context_load(struct build_context *c, const char *folder);

/* The digests that this build has found: how many bytes of notes they are, and those behind the
 * first `from` of them as a message. */
size_t build_context_note_size(const struct build_context *c);
void build_context_send_notes(struct build_context *c, size_t from, int fd);
void build_context_take_notes(struct build_context *c, const void *notes, size_t size);
