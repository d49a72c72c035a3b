/* SPDX-License-Identifier: Apache-2.0
 * The files of an image, as the layers together show them. */
#pragma once

#include "image/library/image.h"
#include "oci/tar.h"

struct content {
	char *path; /* absolute, normalized */
	enum tar_type type;
	uint32_t mode, uid, gid, major, minor;
	uint64_t size;
	size_t number;   /* the place in the archive */
	char *target;    /* of a symlink, or of a hard link to nothing; else NULL */
	char *link;      /* path that a hard link's entry names; else NULL */
	char *text;      /* a file's bytes, if the pool keeps them; else NULL */
	char digest[72]; /* of a file's bytes; "" of others */
	char xattrs[72]; /* of the extended attributes; "" without any */
};

/* Entries sorted so that a directory comes right before all below it. Entries are borrowed: several
 * listings share those of layers that they share. */
struct contents {
	struct content **items;
	size_t count;
};
/* Owns entries. */
struct content_pool {
	struct content **items;
	size_t count, room;
	const char *const *kept; /* paths of files whose text is kept, if it is one of 1 MiB at most; or NULL */
};
void content_pool_done(struct content_pool *p);
#define AUTO_CONTENT_POOL CLEANUP(content_pool_done)
void contents_done(struct contents *c); /* the list alone */
#define AUTO_CONTENTS CLEANUP(contents_done)

/* Applies layer k of an image to what the layers below show. 0 or -errno. */
int contents_add_layer(struct library *l, const struct image *i, size_t k, struct content_pool *pool,
    struct contents *c, struct error **err);
/* A tar stream in place of a layer, for tests and fuzzing. */
int contents_add_tar(struct tar_reader *tar, struct content_pool *pool, struct contents *c, struct error **err);
/* The order of paths: as strcmp(), but "/" comes before every other character. */
int contents_compare_paths(const char *a, const char *b);
/* The entry of a path: its place in the list, or NULL. */
struct content **contents_find(const struct contents *c, const char *path);
struct contents_change {
	char letter; /* 'A' added, 'C' changed, 'D' deleted */
	const struct content *before, *now;
};
/* The next difference of two listings, *i and *j going on from 0: 1, 0 at the end. */
int contents_next_change(const struct contents *before, const struct contents *now, size_t *i, size_t *j,
    struct contents_change *ret);
/* Sets the digest of a text, and its size. */
void content_set_text(struct content *c, char *text);
/* Whether two entries are the same; times do not count. */
int content_is_same(const struct content *a, const struct content *b);
