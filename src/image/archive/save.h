/* SPDX-License-Identifier: Apache-2.0
 * Writing images out of the library: an OCI layout as a directory or a tar archive, or an archive
 * that `docker load` reads too. The bytes depend on the images, their names and their order
 * alone. */
#pragma once

#include "image/common/progress.h"
#include "image/library/bundle.h"
#include "image/library/image.h"

struct save_item {
	struct image *image; /* whole; owned */
	struct strv names;   /* canonical; may be empty */
	uint64_t manifest_size;
};
/* All platforms of one name. */
struct save_bundle {
	struct bundle *bundle; /* owned */
	char *name;
};
struct save_list {
	struct save_item *items;
	size_t count;
	struct save_bundle *bundles; /* behind the images, in archives of OCI alone */
	size_t bundle_count;
};
void save_list_done(struct save_list *s);
#define AUTO_SAVE_LIST CLEANUP(save_list_done)
/* Adds an image, which it takes, and its name (NULL: none). One that is there already gets the name
 * too. 0 or -errno. */
int save_list_add(struct save_list *s, struct library *l, struct image *i, const char *name, struct error **err);

/* Adds all platforms of this name that the library has. 0 or -errno. */
int save_list_add_all(struct save_list *s, struct library *l, const char *name, struct error **err);

/* Writes a tar archive to fd. docker: with manifest.json, for `docker load`. Each blob's digest is
 * verified on the way. p may be NULL. 0 or -errno. */
int save_archive(struct library *l, const struct save_list *s, int docker, int fd, struct progress *p,
    struct error **err);
/* Fills an empty directory. 0 or -errno. */
int save_directory(struct library *l, const struct save_list *s, int directory, struct progress *p, struct error **err);
