/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the tar reader: tar.c (bytes, iteration, content), tar_header.c
 * (headers), tar_pax.c (extended headers), tar_sparse.c (maps), tar_acl.c (access control lists as
 * text). */
#pragma once

#include "oci/tar.h"

enum { TAR_BLOCK_SIZE = 512 };

struct tar_piece {
	uint64_t offset, size;
};

/* Fields of the next entry from an extended header; the bits of `has` say which. */
enum {
	PAX_SIZE = 1 << 0,
	PAX_UID = 1 << 1,
	PAX_GID = 1 << 2,
	PAX_MTIME = 1 << 3,
	PAX_ATIME = 1 << 4,
	PAX_CTIME = 1 << 5,
	PAX_MAJOR = 1 << 6,
	PAX_MINOR = 1 << 7,
	PAX_REAL_SIZE = 1 << 8,  /* sparse: the apparent size */
	PAX_SPARSE_1_0 = 1 << 9, /* the map is in front of the content */
};

struct tar_pax {
	unsigned has;
	char *path, *target, *user, *group, *sparse_name;
	uint64_t size, real_size;
	uint32_t uid, gid, major, minor;
	int64_t mtime, atime, ctime;
	uint32_t mtime_ns, atime_ns, ctime_ns;
	uint64_t sparse_offset; /* of the piece whose length is still to come (sparse 0.0) */
	struct tar_piece *pieces;
	size_t piece_count;
	int has_pieces; /* a map was given, an empty one too */
	struct tar_xattr *xattrs;
	size_t xattr_count;
};

struct tar_reader {
	tar_source *source;
	void *data;
	tar_tap *tap; /* or NULL */
	void *tap_data;
	tar_own *own; /* or NULL */
	void *own_data;
	struct tar_limits limits;
	const unsigned char *window; /* bytes of the source not used yet */
	size_t window_size;
	uint64_t position;     /* in the archive, of the window's first byte */
	uint64_t content_left; /* stored bytes of the current entry */
	uint64_t padding;      /* behind them */
	uint64_t entries;
	int ended;
	unsigned char header[TAR_BLOCK_SIZE];
	struct tar_entry entry;
	struct tar_pax pax;
	struct tar_piece *pieces; /* of the current entry when it is sparse */
	size_t piece_count, piece_at;
	uint64_t piece_done;
	int sparse;
};

/* -EBADMSG, says where */
int tar_broken(struct tar_reader *t, struct error **err, const char *format, ...) PRINTF_LIKE(3, 4);
int tar_take(struct tar_reader *t, void *to, size_t size, struct error **err); /* exactly size bytes: 0 or -errno */
int tar_skip(struct tar_reader *t, uint64_t size, struct error **err);         /* the same, dropped */

char tar_header_type(const struct tar_reader *t);
int tar_check_header(struct tar_reader *t, struct error **err); /* its sum: 0 or -EBADMSG */
/* Takes the content of an extended header into t->pax. */
int tar_read_extension(struct tar_reader *t, char type, struct error **err);
/* Fills t->entry, and how much content follows, from t->header and t->pax. */
int tar_make_entry(struct tar_reader *t, struct error **err);
/* A number field of a header: octal text, or base 256. 0 or -ERANGE/-EINVAL. */
int tar_parse_number(const unsigned char *field, size_t size, int64_t *ret);

void tar_pax_done(struct tar_pax *p);
/* The records of one extended header, size bytes at data. */
int tar_pax_parse(struct tar_reader *t, const char *data, size_t size, struct error **err);

/* Set t->pieces for the entry in t->header / t->pax; stored is what is left of its content. */
int tar_sparse_old(struct tar_reader *t, struct error **err); /* type 'S' */
int tar_sparse_pax(struct tar_reader *t, struct error **err); /* 0.0, 0.1 and 1.0 */
/* Adds a piece: -EBADMSG when there are too many. */
int tar_sparse_add(struct tar_reader *t, struct tar_piece **pieces, size_t *count, struct tar_piece piece,
    struct error **err);

/* A POSIX access control list as star and GNU tar write it, as the value of a system.posix_acl_*
 * attribute; owned. NULL when it is not one, or names a user without a number. */
unsigned char *tar_acl_from_text(const char *text, size_t *ret_size);
