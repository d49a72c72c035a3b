/* SPDX-License-Identifier: Apache-2.0
 * Sparse files in tar archives, by the GNU tar manual, "Storing Sparse Files": the old GNU type 'S'
 * (map in the header and in blocks behind it), pax 0.0 (a record for each number), 0.1 (one record
 * with all) and 1.0 (text in front of the content).
 *
 * A map must go upwards, stay within the apparent size, and add up to what is stored: so content
 * never runs out or is left over.
 */
#include <errno.h>

#include "base/alloc.h"
#include "oci/tar_internal.h"

enum {
	AT_OLD_MAP = 386,
	AT_OLD_EXTENDED = 482,
	AT_OLD_REAL_SIZE = 483,
	OLD_IN_HEADER = 4,
	OLD_IN_BLOCK = 21,
	OLD_ENTRY = 24,
};

int tar_sparse_add(struct tar_reader *t, struct tar_piece **pieces, size_t *count, struct tar_piece piece,
    struct error **err)
{
	if (*count >= t->limits.sparse_max)
		return error_set(err, E2BIG, "a sparse file in the tar archive has more than %u pieces",
		    t->limits.sparse_max);
	if ((*count & (*count - 1)) == 0) /* at powers of two, and at 0 */
		*pieces = xrealloc(*pieces, *count ? *count * 2 : 1, sizeof **pieces);
	(*pieces)[(*count)++] = piece;
	return 0;
}

static int check_map(struct tar_reader *t, uint64_t real_size, struct error **err)
{
	uint64_t end = 0, sum = 0;
	for (size_t i = 0; i < t->piece_count; i++) {
		const struct tar_piece *p = &t->pieces[i];
		if (p->offset < end || p->offset > real_size || p->size > real_size - p->offset)
			return tar_broken(t, err, "the map of a sparse file makes no sense");
		end = p->offset + p->size;
		sum += p->size;
	}
	if (sum != t->content_left || real_size > INT64_MAX)
		return tar_broken(t, err, "the map of a sparse file does not fit its content");
	t->entry.size = real_size;
	t->sparse = 1;
	return 0;
}

/* `count` pairs of 12-byte numbers; an empty one ends the list. */
static int add_old(struct tar_reader *t, const unsigned char *at, int count, struct error **err)
{
	for (int i = 0; i < count && at[i * OLD_ENTRY] != 0; i++) {
		int64_t offset = 0, size = 0;
		if (tar_parse_number(at + i * OLD_ENTRY, 12, &offset) < 0 ||
		    tar_parse_number(at + i * OLD_ENTRY + 12, 12, &size) < 0 || offset < 0 || size < 0)
			return tar_broken(t, err, "the map of a sparse file makes no sense");
		int r = tar_sparse_add(t, &t->pieces, &t->piece_count,
		    (struct tar_piece){ (uint64_t)offset, (uint64_t)size }, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tar_sparse_old(struct tar_reader *t, struct error **err)
{
	unsigned char block[TAR_BLOCK_SIZE];
	int64_t real_size = 0;
	if (tar_parse_number(t->header + AT_OLD_REAL_SIZE, 12, &real_size) < 0 || real_size < 0)
		return tar_broken(t, err, "a sparse file has no size");
	int r = add_old(t, t->header + AT_OLD_MAP, OLD_IN_HEADER, err);
	for (int more = t->header[AT_OLD_EXTENDED]; r == 0 && more; more = block[OLD_IN_BLOCK * OLD_ENTRY]) {
		if ((r = tar_take(t, block, sizeof block, err)) < 0)
			return r;
		r = add_old(t, block, OLD_IN_BLOCK, err);
	}
	return r < 0 ? r : check_map(t, (uint64_t)real_size, err);
}

/* Reads one decimal number and its newline from the content. */
static int take_number(struct tar_reader *t, uint64_t *ret, uint64_t *used, struct error **err)
{
	uint64_t value = 0;
	for (int digits = 0;; digits++) {
		unsigned char c;
		if (t->content_left - *used == 0)
			return tar_broken(t, err, "the map of a sparse file is cut off");
		int r = tar_take(t, &c, 1, err);
		if (r < 0)
			return r;
		++*used;
		if (c == '\n' && digits > 0)
			break;
		if (c < '0' || c > '9' || digits >= 18)
			return tar_broken(t, err, "the map of a sparse file makes no sense");
		value = value * 10 + (c - '0');
	}
	*ret = value;
	return 0;
}

/* 1.0: the map is text in front of the content, padded to a block. */
static int read_map(struct tar_reader *t, struct error **err)
{
	uint64_t count = 0, used = 0;
	int r = take_number(t, &count, &used, err);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < count; i++) {
		struct tar_piece piece = { 0 };
		if ((r = take_number(t, &piece.offset, &used, err)) < 0 ||
		    (r = take_number(t, &piece.size, &used, err)) < 0 ||
		    (r = tar_sparse_add(t, &t->pieces, &t->piece_count, piece, err)) < 0)
			return r;
	}
	unsigned char rest[TAR_BLOCK_SIZE];
	uint64_t padding = -used & (TAR_BLOCK_SIZE - 1);
	if (padding > t->content_left - used)
		return tar_broken(t, err, "the map of a sparse file is cut off");
	r = tar_take(t, rest, (size_t)padding, err);
	if (r < 0)
		return r;
	t->content_left -= used + padding;
	return 0;
}

int tar_sparse_pax(struct tar_reader *t, struct error **err)
{
	if (!(t->pax.has & PAX_REAL_SIZE))
		return tar_broken(t, err, "a sparse file has no size");
	if (t->pax.has & PAX_SPARSE_1_0) {
		int r = read_map(t, err);
		if (r < 0)
			return r;
	} else {
		t->pieces = TAKE_PTR(t->pax.pieces);
		t->piece_count = t->pax.piece_count;
	}
	return check_map(t, t->pax.real_size, err);
}
