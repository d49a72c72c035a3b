/* SPDX-License-Identifier: Apache-2.0
 * Layers applied to the tree of a disk. */
#pragma once

#include "disk/space.h"
#include "disk/tree.h"
#include "oci/tar.h"

struct disk_apply {
	struct disk_tree *tree;
	struct disk_space *space;
	uint32_t layer; /* number of the layer being applied, from 1 */
};

/* Applies all entries of one layer (OCI image-spec 1.0, layer.md): 0 or -errno with a text that
 * names the entry. */
int disk_apply_layer(struct disk_apply *a, struct tar_reader *reader, struct error **err);
