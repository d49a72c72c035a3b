/* SPDX-License-Identifier: Apache-2.0
 * The content of one file on its way into a tar stream: how much it is, and where its holes are.
 * Private to the writer (tar_write.c). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

struct tar_extent {
	uint64_t offset, size;
};

struct tar_content {
	int fd;                     /* borrowed */
	uint64_t size;              /* apparent */
	struct buffer whole;        /* the content, if it was read already */
	struct tar_extent *extents; /* the data of a sparse file, in order; NULL: it has no holes */
	size_t extent_count;
	struct buffer map; /* of a sparse file, by pax 1.0: text, padded to a block */
};

/* Finds out the real size and the holes of an open file that stat(2) says to have `said` bytes:
 * files of /proc and /sys have another size. 0, -errno, or -EFBIG: the file does not end within 64
 * MiB and stat(2) does not know its size. */
int tar_content_open(struct tar_content *c, int fd, uint64_t said);
void tar_content_done(struct tar_content *c);
/* The bytes that tar_content_write() writes. */
uint64_t tar_content_stored(const struct tar_content *c);
/* Writes the map and the content. 0, -errno of write, or another -errno of the file: -ESTALE if its
 * size has changed. */
int tar_content_write(struct tar_content *c, int (*write)(void *data, const void *bytes, size_t size), void *data);
