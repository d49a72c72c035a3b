/* SPDX-License-Identifier: Apache-2.0
 * The image library on disk: an OCI image layout (image-layout.md) that all machines share.
 *
 *   index.json            names: one descriptor per name and platform, with
 *                         org.opencontainers.image.ref.name
 *   blobs/sha256/HEX      manifests, configurations, layers; each is whole and verified before it
 *                         has its name
 *   partial/sha256-HEX    downloads that can be resumed; locked while somebody writes
 *   disks/                sha256-HEX-v1.ext4 per image, and .json with what was found in it
 *   trees/                sha256-HEX-TAG-v1/ per layer and mapping of ids, .json beside it,
 *                         image-sha256-HEX-TAG-v1.json per image (trees/cache.h)
 *   build/                what builds have made: HEX a step, files-HEX what is known of a context's
 *                         files, outline-HEX a layer's names (cache.h, context.h and outline.h in
 *                         builder/)
 *   locks/sha256-HEX      held while an image's blobs are fetched or its disk is made: two
 *                         processes do the work once; locks/trees while any tree is made
 *   use.lock              shared while a library is open, exclusive while unreferenced files are
 *                         deleted
 *   index.lock            exclusive while index.json is changed
 *
 * Readers of index.json take no lock, because it is replaced whole. Nothing is deleted while
 * anybody else has the library open, so whoever holds a struct library can rely on every blob it
 * has seen. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/lock.h"
#include "oci/manifest.h"

struct streams;

struct library {
	char *path;                             /* .../holm/images */
	int root, blobs, partial, disks, trees; /* directories */
	int use_lock;
	struct streams *streams; /* blobs that are still being fetched (stream.h), or NULL; borrowed */
};

/* Opens the library, making it when it is not there. Waits for a cleaning process at most some
 * seconds. */
int library_open(struct library **ret, struct error **err);
void library_free(struct library *l);
DEFINE_CLEANUP(struct library, library_free)
#define AUTO_LIBRARY CLEANUP(library_freep)

struct library_entry {
	char *name;                       /* canonical reference; NULL for a descriptor without a name */
	struct oci_descriptor descriptor; /* of a manifest */
};
struct library_index {
	struct library_entry *entries; /* sorted by name, then platform */
	size_t count;
	/* Indexes of names: all platforms together (bundle.h). A name has one at most, and loses it
	 * when one of its entries changes. */
	struct library_entry *indexes;
	size_t index_count;
};
int library_read_index(struct library *l, struct library_index *ret, struct error **err);
void library_index_done(struct library_index *i);
#define AUTO_LIBRARY_INDEX CLEANUP(library_index_done)

/* Gives the manifest d (its platform must be set) this name, taking it from another manifest for
 * the same platform. NULL: keeps it without a name, if it has none. An entry that is there stays as
 * it is. */
int library_set_name(struct library *l, const char *name, const struct oci_descriptor *d, struct error **err);
/* Notes the index that a name stands for, whose manifests for platforms have the name already. */
int library_set_index(struct library *l, const char *name, const struct oci_descriptor *d, struct error **err);
/* Takes a name away from all its manifests. -ENOENT without a text when there is none. */
int library_remove_name(struct library *l, const char *name, struct error **err);
/* Takes away all names of the manifest with this digest. */
int library_remove_digest(struct library *l, const char *digest, struct error **err);

/* Whether the blob is there with this size (UINT64_MAX: any). */
int library_has_blob(struct library *l, const char *digest, uint64_t size);
/* Its descriptor. With ret_size NULL that may be the pipe of one of l->streams. */
int library_open_blob(struct library *l, const char *digest, uint64_t *ret_size, struct error **err);
/* A small blob, its digest verified; owned, NUL-terminated. */
int library_read_blob(struct library *l, const char *digest, char **ret, size_t *ret_size, struct error **err);
/* The lock of the image with this manifest digest. on_wait (may be NULL) is called when somebody
 * else has it. The lock's descriptor. */
int library_lock_image(struct library *l, const char *digest, void (*on_wait)(void *data), void *data,
    struct error **err);

/* The same for a lock of this name. */
int library_lock(struct library *l, const char *name, void (*on_wait)(void *data), void *data, struct error **err);
/* The same for a lock that others may share. */
int library_lock_as(struct library *l, const char *name, enum lock_mode mode, void (*on_wait)(void *data), void *data,
    struct error **err);
/* Tries once. The lock's descriptor, -EWOULDBLOCK or -errno. */
int library_try_lock(struct library *l, const char *name, struct error **err);

/* "sha256-HEX" of a digest, as files are named. Owned. */
char *library_file_name(const char *digest, const char *suffix);
