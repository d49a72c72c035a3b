/* SPDX-License-Identifier: Apache-2.0
 * The entries of an archive that ADD has unpacked so far. A layer with an entry below a symlink, or
 * with a hard link to nothing, is one that no reader unpacks as it was meant. */
#pragma once

#include "image/library/contents.h"
#include "oci/tar.h"

struct unpacked {
	void *tree; /* tsearch(3) */
};
void unpacked_done(struct unpacked *u);

/* Notes an entry whose place in the image is `path`; link: that of a hard link's target. base: the
 * files below. 0; -EINVAL: it lies below an entry that is no directory, or links to no file. */
int unpacked_add(struct unpacked *u, const char *path, enum tar_type type, const char *link,
    const struct contents *base, struct error **err);
