/* SPDX-License-Identifier: Apache-2.0
 * A layer blob's uncompressed bytes: plain, gzip (several members too) or zstd, hashed while they
 * are read. (layer_lib) */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* On a layer's unpacked tree: the layer describes "/". */
#define LAYER_XATTR_ROOT "user.holm.root"

struct layer_limits {
	uint64_t max_bytes; /* uncompressed; default 1 TiB */
	/* Uncompressed / compressed, looked at only past ratio_from; default 1100. deflate cannot
	 * pass 1032, which an honest file of zeros comes near; zstd makes 30000 of zeros. */
	uint64_t max_ratio;
	uint64_t ratio_from; /* bytes; default 64 GiB */
};
extern const struct layer_limits layer_default_limits;

struct layer_reader;
/* Decodes fd (borrowed; from its current position; a pipe will do). The first bytes decide how, as
 * in other tools: there are registries whose media types are wrong, and the digests catch
 * everything else. media_type may be NULL; one that no layer has is -EOPNOTSUPP (encrypted ones).
 * limits NULL: the defaults. Starts a thread that decodes ahead and touches fd until the reader is
 * freed. */
int layer_reader_open(int fd, const char *media_type, const struct layer_limits *limits, struct layer_reader **ret,
    struct error **err);
void layer_reader_free(struct layer_reader *l);
DEFINE_CLEANUP(struct layer_reader, layer_reader_free)

/* The next piece (a tar_source, data being the reader): borrowed until the next call. Bytes, 0 at
 * the end, -errno. */
ssize_t layer_reader_read(void *reader, const void **ret, struct error **err);
/* Bytes of the blob decoded so far. */
uint64_t layer_reader_position(struct layer_reader *l);
/* After the end: the digest of all that was read, "sha256:HEX", borrowed. */
const char *layer_reader_digest(struct layer_reader *l);
