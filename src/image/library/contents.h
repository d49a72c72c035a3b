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
	size_t number;   /* the place in the archive; of a hard link the file's */
	size_t layer;    /* of the pool when its archive was read */
	int64_t mtime;   /* seconds; does not count for what is the same */
	char *target;    /* of a symlink, or of a hard link to nothing; else NULL */
	char *link;      /* path that a hard link's entry names; else NULL */
	char *text;      /* a file's bytes, if the pool keeps them; else NULL */
	char *note;      /* a text of the code that listed it; or NULL */
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
	size_t layer;            /* for entries from now on */
	int plain;               /* files' bytes are not read: no digests */
	const char *const *kept; /* paths of files whose text is kept, if it is one of 1 MiB at most; or NULL */
};
void content_pool_done(struct content_pool *p);
struct content *content_pool_new(struct content_pool *p); /* zeroed; borrowed */
#define AUTO_CONTENT_POOL CLEANUP(content_pool_done)
void contents_done(struct contents *c); /* the list alone */
#define AUTO_CONTENTS CLEANUP(contents_done)

/* Applies layer k of an image to what the layers below show. 0 or -errno. */
int contents_add_layer(struct library *l, const struct image *i, size_t k, struct content_pool *pool,
    struct contents *c, struct error **err);
/* The same for a blob; diff_id is the digest of its bytes, or NULL: whatever it is. */
int contents_add_blob(struct library *l, const char *digest, const char *diff_id, struct content_pool *pool,
    struct contents *c, struct error **err);
/* Whether the entry of this normalized path deletes others. */
int contents_is_whiteout(const char *path);
/* The path with the symlinks on the way to its last part followed, inside of the listing; with
 * `last`, that part's, too. What is not there stays as it is. Owned; NULL: too many links. */
char *contents_resolve(const struct contents *c, const char *path, int last);
void contents_append(struct contents *c, struct content *entry); /* borrows it */
/* Sorts entries that were added in any order; of several with one path the last one counts. */
void contents_sort(struct contents *c);
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
