/* SPDX-License-Identifier: Apache-2.0
 * An image's layers made into one ext4 file, without root, without a directory in between.
 *
 * The file is sparse, just as large as its content needs plus some room, and can be grown online to
 * many TiB (EXT4_IOC_RESIZE_FS). The same layers and identifier give the same bytes. Inside is the
 * image's tree and a lost+found. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "oci/tar.h"

struct disk_layer {
	int fd;                 /* the blob, read from its current position; borrowed */
	const char *media_type; /* OCI or Docker media type, or NULL: see oci/layer.h */
	const char *diff_id;    /* "sha256:HEX" of the uncompressed tar stream; NULL: not checked */
	uint64_t size;          /* of the blob, bytes, for the progress; 0 when not known */
	const char *name;       /* for error texts: "layer 3 (sha256:ab12...)"; NULL: "layer N" */
};

struct disk_options {
	unsigned char uuid[16]; /* of the file system; all zeros: made from the diff_ids */
	/* of all layers uncompressed; 0: 1 TiB. What one layer may expand to is capped in
	 * oci/layer.h */
	uint64_t max_bytes;
	/* Called now and then with blob bytes read; total is the sum of the layers' sizes. A
	 * negative errno ends the writing (-ECANCELED when somebody pressed Ctrl-C). May be
	 * NULL. */
	int (*progress)(uint64_t done, uint64_t total, void *data);
	void *data;
	tar_own *own; /* changes the owner of each entry; may be NULL */
	void *own_data;
};

/* Applies the layers in order (OCI image-spec 1.0, layer.md: whiteouts, opaque directories) and
 * writes the file system to out_fd, an empty regular file open for reading and writing. Not synced:
 * the caller does that before it names the file. o may be NULL. 0 or -errno with a text that names
 * the layer and the entry; the file's content is undefined then. */
int disk_write(int out_fd, const struct disk_layer *layers, size_t count, const struct disk_options *o,
    struct error **err);

/* The same for one tar stream (plain, gzip or zstd) of unknown size: a pipe will do. */
int disk_write_tar(int tar_fd, int out_fd, const struct disk_options *o, struct error **err);

/* Looks into a written disk: the first of paths (NULL-terminated list, absolute) that is, with
 * symlinks followed inside the disk, a regular file that somebody may execute. *ret borrowed from
 * paths. 0, -ENOENT without a text when none is, -errno. */
int disk_find_first(const char *disk_path, const char *const *paths, const char **ret, struct error **err);
