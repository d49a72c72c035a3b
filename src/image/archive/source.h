/* SPDX-License-Identifier: Apache-2.0
 * Sources of images to load: a directory, or an archive, which is first unpacked beside the
 * library. */
#pragma once

#include "base/reserve.h"
#include "image/library/library.h"

struct source {
	struct library *library;
	int directory;
	char *unpacked; /* name of the folder in the library that an archive was unpacked into; NULL for a directory */
	struct reserve reserve;
};

/* Judges a source by its documents. 0 or -errno, which source_open() returns. */
typedef int (*source_look)(const struct source *s, void *data, struct error **err);
/* path: a directory, an archive (tar, compressed with whatever libarchive knows), or "-" for such
 * an archive on stdin. look (may be NULL) comes before the large members of a plain tar file are
 * unpacked, and after all of them where the source can be read once only or is compressed. */
int source_open(struct library *l, const char *path, source_look look, void *data, struct source *ret,
    struct error **err);
void source_done(struct source *s); /* deletes what was unpacked */
#define AUTO_SOURCE CLEANUP(source_done)
#define SOURCE_NONE ((struct source){ .directory = -1 })

/* A file inside, by its path there; it cannot lead out. Descriptor, -ENOENT without a text. */
int source_open_file(const struct source *s, const char *path);
/* A small file whole, NUL-terminated. -ENOENT without a text. */
int source_read_file(const struct source *s, const char *path, char **ret, size_t *ret_size, struct error **err);
/* Takes a file into the library as a blob. digest: what it must be, or NULL; size: the same, or
 * UINT64_MAX. ret_digest: DIGEST_TEXT_SIZE + 1 bytes. */
int source_import(const struct source *s, const char *path, const char *digest, uint64_t size, char *ret_digest,
    uint64_t *ret_size, struct error **err);
