/* SPDX-License-Identifier: Apache-2.0
 * A plan's files as a layer of the library. Nothing is unpacked: the layer's tar stream is written
 * straight from the files of the context, or from the layers that hold them. */
#pragma once

#include "image/archive/compose.h"
#include "image/builder/copy.h"
#include "image/builder/state.h"

/* The places of the bytes of a plan's files: files that can be opened, or layers that are read from
 * their beginning to their end. */
struct emit_bytes {
	int (*open_file)(void *data, const struct content *c, struct error **err); /* a descriptor, or -errno */
	int (*open_layer)(void *data, size_t layer, size_t *ret_first, struct error **err); /* the same */
	void *data;
};

/* Makes the layer of a plan on top of `base`, whose directories and symlinks decide where things
 * go. The items' places change. An empty plan makes none. 0 or -errno. */
int emit_layer(struct library *l, struct copy_plan *plan, const struct copy_wish *w, const struct contents *base,
    const struct emit_bytes *bytes, struct build_layer *ret, struct error **err);
/* Makes a layer with an empty directory, unless `base` has it. user: its owner, if the image knows
 * one of that name, else root; or NULL. 0 or -errno. */
int emit_directory(struct library *l, const char *path, const char *user, const struct contents *base,
    struct build_layer *ret, struct error **err);
/* A tar archive, compressed as ADD knows it: gzip, bzip2, xz, zstd or not at all. NULL: it is none.
 * fd is borrowed, and read from its position on. */
struct emit_archive;
struct emit_archive *emit_archive_open(int fd);
void emit_archive_close(struct emit_archive *a);                                /* NULL is fine */
ssize_t emit_archive_read(void *archive, const void **ret, struct error **err); /* a tar_source */
/* Whether a file is such an archive, by its first entry. */
int emit_is_archive(int fd);
/* Takes what a writer has made. */
void emit_take_layer(const struct composed_layer *from, struct build_layer *to);
