/* SPDX-License-Identifier: Apache-2.0
 * qcow2 version 3 (QEMU docs/interop/qcow2.txt): as much as a machine's own disk needs. libc
 * only. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum { QCOW2_CHAIN_MAX = 16 };
#define QCOW2_SIZE_MAX (64ULL << 40) /* virtual size, bytes */

/* Makes `path` (must not exist, 0600): an empty overlay of virtual_size bytes (rounded up to 512)
 * over `backing` ("raw" or "qcow2"), or with nothing below when backing is NULL. Written in two
 * small writes whatever the size; synced. Nothing is left when it fails. Backing names are stored
 * as given: absolute, or relative to the overlay's folder. 0 or -errno; -EEXIST. */
int qcow2_create(const char *path, const char *backing, const char *backing_format, uint64_t virtual_size,
    struct error **err);

struct qcow2_info {
	uint64_t virtual_size;
	char *backing;        /* owned, as stored; NULL: none */
	char *backing_format; /* owned; NULL: not stored */
};
void qcow2_info_done(struct qcow2_info *i);
#define AUTO_QCOW2_INFO CLEANUP(qcow2_info_done)

/* Reads the header of an image that may be anybody's: every length is checked. -EINVAL when it is
 * not a qcow2 of version 2 or 3. */
int qcow2_read(const char *path, struct qcow2_info *ret, struct error **err);
int qcow2_read_fd(int fd, const char *name, struct qcow2_info *ret, struct error **err); /* name is for the error */

/* Enlarges the virtual size of a file that nobody has open (made by qcow2_create: its first-level
 * table has room for QCOW2_GROW_MAX). Shrinking is -EINVAL, more than the table holds -EFBIG.
 * Synced. */
#define QCOW2_GROW_MAX (16ULL << 40)
int qcow2_grow(const char *path, uint64_t virtual_size, struct error **err);

/* Names another backing file (the caller vouches that its content is the same): for a data folder
 * that moved, for clones. Synced. */
int qcow2_set_backing(const char *path, const char *backing, const char *backing_format, struct error **err);

/* Calls `each` for the backing file of path, and that one's, and so on while they are qcow2
 * (absolute or relative to the file that names them); ends early when `each` returns other than 0,
 * and returns that. -ELOOP after QCOW2_CHAIN_MAX. */
int qcow2_walk_chain(const char *path, int (*each)(const char *backing, const char *format, void *data), void *data,
    struct error **err);
