/* SPDX-License-Identifier: Apache-2.0
 * A reader of tar streams that come from strangers: ustar, GNU and pax (POSIX.1-2017 "pax
 * Interchange Format"), sparse files of all four kinds. Needs libc only, so that the agent can use
 * it too. Names are bytes: nothing is converted to a locale. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum tar_type { TAR_FILE, TAR_LINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK, TAR_DIRECTORY, TAR_FIFO };

struct tar_xattr {
	char *name; /* "user.x", "security.capability", "system.posix_acl_access" */
	unsigned char *value;
	size_t size;
};

struct tar_entry {
	enum tar_type type;
	char *path;    /* as in the archive; not empty, no NUL inside; may be absolute or have ".." */
	char *target;  /* of links and symlinks; else NULL */
	uint32_t mode; /* 07777 */
	uint32_t uid, gid;
	char *user, *group; /* names, or NULL */
	uint64_t size;      /* of the content; apparent size when sparse; 0 for all but files */
	uint32_t major, minor;
	int64_t mtime, atime, ctime; /* seconds; atime and ctime equal mtime where the archive has none */
	uint32_t mtime_ns, atime_ns, ctime_ns;
	struct tar_xattr *xattrs;
	size_t xattr_count;
};

struct tar_limits {
	size_t path_max;      /* bytes of a name or link target; default 4095 */
	size_t header_max;    /* bytes of one extended header; default 1 MiB */
	uint64_t entries_max; /* default 4 million */
	uint32_t sparse_max;  /* pieces of a sparse file; default 1 million */
};
extern const struct tar_limits tar_default_limits;

/* Reads the next bytes: *ret points to at least one, valid until the next call. The number of
 * bytes, 0 at the end, -errno (with err set). */
typedef ssize_t tar_source(void *data, const void **ret, struct error **err);

struct tar_reader;
/* limits NULL: the defaults. Owned by the caller. */
struct tar_reader *tar_reader_new(tar_source *source, void *data, const struct tar_limits *limits);
void tar_reader_free(struct tar_reader *t);
DEFINE_CLEANUP(struct tar_reader, tar_reader_free)

/* Takes bytes as the reader consumes them, in order: those of tar_reader_next() are the padding
 * of the last content, what was not read of it, and the next entry's headers. */
typedef void tar_tap(void *data, const void *bytes, size_t size);
/* Changes the owner of each entry before it is given out. */
typedef void tar_own(void *data, const char *path, uint32_t *uid, uint32_t *gid);
void tar_reader_set_own(struct tar_reader *t, tar_own *own, void *data);
void tar_reader_set_tap(struct tar_reader *t, tar_tap *tap, void *data);
/* How many bytes of the stream are consumed. */
uint64_t tar_reader_position(const struct tar_reader *t);

/* The next entry, what was not read of the last one's content being skipped. 1 and *ret (borrowed
 * until the next call), 0 at the end of the archive (everything behind it is read and dropped, so
 * that a digest of the stream is whole), -errno: -EBADMSG for an archive that is broken. */
int tar_reader_next(struct tar_reader *t, const struct tar_entry **ret, struct error **err);

/* The next piece of the entry's content: *ret_data (borrowed until the next call), *ret_size and
 * where it belongs. Offsets only go up; what lies between the pieces and up to the size is a hole.
 * 1, 0 at the end of the content, -errno. */
int tar_reader_read(struct tar_reader *t, const void **ret_data, size_t *ret_size, uint64_t *ret_offset,
    struct error **err);
