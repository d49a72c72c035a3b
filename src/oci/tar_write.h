/* SPDX-License-Identifier: Apache-2.0
 * Writes a file or tree as a pax tar stream (POSIX.1-2017, "pax Interchange Format"): numeric ids,
 * times to the nanosecond, hard links, extended attributes as SCHILY.xattr records. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "oci/tar.h"

/* Takes the stream's bytes: 0 or -errno, which ends the work. */
typedef int (*tar_sink)(void *data, const void *bytes, size_t size);

/* Writes what `path` is in the tree at `root`, symlinks on the way resolved inside, the last one
 * not. Names in the stream begin with `name` ("": the contents of a directory, and "./" for
 * itself). Stays on the file system where it starts: a mount point is an empty directory. */
int tar_write_tree(int root, const char *path, const char *name, tar_sink sink, void *data, struct error **err);

enum { TAR_ALSO_MAX = 2 };

/* The same with more wishes. */
struct tar_tree {
	int root;
	const char *path, *name;
	/* Mount points whose contents are written, too; -1: none. */
	int also[TAR_ALSO_MAX];
	/* Marks of overlays are written as archives have them (tar_overlay.h). */
	int restore;
	tar_own *own; /* changes the owner of each entry; NULL: nothing does */
	void *own_data;
};
int tar_write(const struct tar_tree *t, tar_sink sink, void *data, struct error **err);

/* A small file that is in no file system. */
struct tar_text {
	const char *name, *text;
	uint32_t mode, uid, gid;
	int64_t mtime; /* seconds */
	size_t size;   /* of the text; 0: it ends with its NUL character */
};
/* Writes its entry. 0 or what the sink returned. */
int tar_write_text(const struct tar_text *t, tar_sink sink, void *data);

/* Writes the upper directory of an overlay as a layer (OCI image specification 1.1, layer.md):
 * overlayfs's whiteouts and opaque directories become files that are named so. `mounted` has
 * absolute paths where something was mounted: an empty file or directory there is left out, as it
 * was made for the mount. */
int tar_write_layer(int upper, const struct strv *mounted, tar_sink sink, void *data, struct error **err);

/* Writes the headers of an entry as a reader gave it. The caller writes the e->size bytes of a
 * file's content and their padding behind it, and tar_write_end() after the last entry. 0 or what
 * the sink returned. */
int tar_write_entry(const struct tar_entry *e, tar_sink sink, void *data);
int tar_write_padding(uint64_t size, tar_sink sink, void *data);
int tar_write_end(tar_sink sink, void *data);
