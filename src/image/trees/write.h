/* SPDX-License-Identifier: Apache-2.0
 * One layer made into a directory for overlayfs. Runs as root of a user namespace (or as anybody:
 * then owners are not what they should be). The process should have a umask of 0. */
#pragma once

#include <stdint.h>

#include "base/strv.h"
#include "image/trees/view.h"
#include "oci/tar.h"

struct tree_write {
	int directory; /* empty, owned by this process's user; borrowed */
	/* Called at most once, when the layer turns out not to stand alone: waits until the trees
	 * below are finished and says which they are. NULL: there are none. 0 or -errno. */
	int (*lower)(void *data, struct tree_view *ret, struct error **err);
	void *data;
	/* The result; tree_write_done() frees it. */
	struct strv skipped;   /* device nodes that could not be made, the first thousand */
	uint64_t skipped_more; /* how many there were beyond those */
	/* files whose owners the mapping does not have: nobody's, or root's where there is no
	 * nobody */
	uint64_t strangers;
	int needs_lower; /* the tree fits only the trees that `lower` gave */
};

/* Writes the entries of one layer (OCI image-spec 1.0, layer.md), with the meaning that
 * disk_apply_layer() gives them. Nothing in a layer can reach outside of the directory. 0 or -errno
 * with a text that names the entry; what is in the directory then is of no use. */
int tree_write_layer(struct tree_write *t, struct tar_reader *reader, struct error **err);
void tree_write_done(struct tree_write *t);

/* Adds the space on the disk of all in a directory (O_PATH will do) to *total. 0 or -errno. */
int tree_measure(int directory, uint64_t *total);
/* Deletes all that is in a directory (O_PATH will do), however deep. Crosses no symlinks. 0 or
 * -errno. */
int tree_empty(int directory);
