/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: the source hands out windows of the archive; headers (tar_header.c) are
 * copied out of them block by block, content is given on as it lies there, never copied.
 *
 * This is our own reader rather than libarchive's for three reasons: it links statically into the
 * agent; names stay the bytes that they are (libarchive converts them to the locale, and in the C
 * locale loses those that are not ASCII); and every length has its cap where it is read.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "oci/tar_internal.h"

const struct tar_limits tar_default_limits = {
	.path_max = 4095,
	.header_max = 1 << 20,
	.entries_max = 4000000,
	.sparse_max = 1000000,
};

struct tar_reader *tar_reader_new(tar_source *source, void *data, const struct tar_limits *limits)
{
	struct tar_reader *t = xnew(struct tar_reader);
	t->source = source;
	t->data = data;
	t->limits = limits ? *limits : tar_default_limits;
	return t;
}

static void free_xattrs(struct tar_xattr *xattrs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(xattrs[i].name);
		free(xattrs[i].value);
	}
	free(xattrs);
}

void tar_pax_done(struct tar_pax *p)
{
	free(p->path);
	free(p->target);
	free(p->user);
	free(p->group);
	free(p->sparse_name);
	free(p->pieces);
	free_xattrs(p->xattrs, p->xattr_count);
	*p = (struct tar_pax){ 0 };
}

static void entry_done(struct tar_reader *t)
{
	struct tar_entry *e = &t->entry;
	free(e->path);
	free(e->target);
	free(e->user);
	free(e->group);
	free_xattrs(e->xattrs, e->xattr_count);
	*e = (struct tar_entry){ 0 };
	free(t->pieces);
	t->pieces = NULL;
	t->piece_count = t->piece_at = 0;
	t->piece_done = 0;
	t->sparse = 0;
}

void tar_reader_free(struct tar_reader *t)
{
	if (!t)
		return;
	entry_done(t);
	tar_pax_done(&t->pax);
	free(t);
}

int tar_broken(struct tar_reader *t, struct error **err, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return error_set(err, EBADMSG, "the tar archive is damaged near byte %llu: %s", (unsigned long long)t->position,
	    text);
}

/* Makes the window hold something: 1, 0 at the end of the source, -errno. */
static int fill(struct tar_reader *t, struct error **err)
{
	if (t->window_size > 0)
		return 1;
	const void *window = NULL;
	ssize_t n = t->source(t->data, &window, err);
	if (n <= 0)
		return (int)n;
	t->window = window;
	t->window_size = (size_t)n;
	return 1;
}

static void advance(struct tar_reader *t, size_t n)
{
	if (t->tap)
		t->tap(t->tap_data, t->window, n);
	t->window += n;
	t->window_size -= n;
	t->position += n;
}

void tar_reader_set_tap(struct tar_reader *t, tar_tap *tap, void *data)
{
	t->tap = tap;
	t->tap_data = data;
}

void tar_reader_set_own(struct tar_reader *t, tar_own *own, void *data)
{
	t->own = own;
	t->own_data = data;
}

uint64_t tar_reader_position(const struct tar_reader *t)
{
	return t->position;
}

int tar_take(struct tar_reader *t, void *to, size_t size, struct error **err)
{
	for (size_t have = 0; have < size;) {
		int r = fill(t, err);
		if (r < 0)
			return r;
		if (r == 0)
			return tar_broken(t, err, "it ends in the middle");
		size_t n = MIN(size - have, t->window_size);
		memcpy((unsigned char *)to + have, t->window, n);
		advance(t, n);
		have += n;
	}
	return 0;
}

int tar_skip(struct tar_reader *t, uint64_t size, struct error **err)
{
	while (size > 0) {
		int r = fill(t, err);
		if (r < 0)
			return r;
		if (r == 0)
			return tar_broken(t, err, "it ends in the middle");
		size_t n = (size_t)MIN(size, t->window_size);
		advance(t, n);
		size -= n;
	}
	return 0;
}

/* To the next block. Some writers leave the last file's padding out, as they do with the end mark:
 * nothing is lost by it. */
static int skip_padding(struct tar_reader *t, struct error **err)
{
	while (t->padding > 0) {
		int r = fill(t, err);
		if (r < 0)
			return r;
		if (r == 0)
			return 0;
		size_t n = (size_t)MIN(t->padding, t->window_size);
		advance(t, n);
		t->padding -= n;
	}
	return 0;
}

static int all_zero(const unsigned char *block)
{
	return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK_SIZE - 1) == 0;
}

/* The end was reached: what lies behind it is read too. */
static int drain(struct tar_reader *t, struct error **err)
{
	t->ended = 1;
	for (;;) {
		int r = fill(t, err);
		if (r <= 0)
			return r;
		advance(t, t->window_size);
	}
}

/* The next header into t->header: 1, 0 at the end, -errno. */
static int next_header(struct tar_reader *t, struct error **err)
{
	int r = fill(t, err);
	if (r <= 0)
		return r < 0 ? r : drain(t, err);
	if ((r = tar_take(t, t->header, TAR_BLOCK_SIZE, err)) < 0)
		return r;
	if (!all_zero(t->header)) {
		r = tar_check_header(t, err);
		return r < 0 ? r : 1;
	}
	r = fill(t, err);
	if (r > 0) {
		if ((r = tar_take(t, t->header, TAR_BLOCK_SIZE, err)) < 0)
			return r;
		if (!all_zero(t->header))
			return tar_broken(t, err, "there is data behind its end mark");
	}
	return r < 0 ? r : drain(t, err);
}

int tar_reader_next(struct tar_reader *t, const struct tar_entry **ret, struct error **err)
{
	int r = 0;
	if (t->ended)
		return 0;
	if ((r = tar_skip(t, t->content_left, err)) < 0 || (r = skip_padding(t, err)) < 0)
		return r;
	t->content_left = t->padding = 0;
	entry_done(t);
	for (;;) {
		if ((r = next_header(t, err)) <= 0)
			return r;
		if (++t->entries > t->limits.entries_max)
			return error_set(err, E2BIG, "the tar archive has more than %llu entries",
			    (unsigned long long)t->limits.entries_max);
		char type = tar_header_type(t);
		if (type != 0 && strchr("xXgLK", type)) {
			if ((r = tar_read_extension(t, type, err)) < 0)
				return r;
			continue;
		}
		if (type == 'V') /* a volume's label */
			continue;
		r = tar_make_entry(t, err);
		tar_pax_done(&t->pax);
		if (r < 0)
			return r;
		if (t->own)
			t->own(t->own_data, t->entry.path, &t->entry.uid, &t->entry.gid);
		*ret = &t->entry;
		return 1;
	}
}

/* Moves to the next piece of a sparse file that has something left: 0 when there is none. */
static int find_piece(struct tar_reader *t, struct tar_piece *ret)
{
	while (t->piece_at < t->piece_count && t->piece_done == t->pieces[t->piece_at].size) {
		t->piece_at++;
		t->piece_done = 0;
	}
	if (t->piece_at == t->piece_count)
		return 0;
	*ret = (struct tar_piece){ t->pieces[t->piece_at].offset + t->piece_done,
		t->pieces[t->piece_at].size - t->piece_done };
	return 1;
}

int tar_reader_read(struct tar_reader *t, const void **ret_data, size_t *ret_size, uint64_t *ret_offset,
    struct error **err)
{
	struct tar_piece piece = { t->entry.size - t->content_left, t->content_left };
	if (t->entry.type != TAR_FILE || t->content_left == 0 || (t->sparse && !find_piece(t, &piece)))
		return 0;
	int r = fill(t, err);
	if (r < 0)
		return r;
	if (r == 0)
		return tar_broken(t, err, "it ends in the middle of a file");
	size_t n = (size_t)MIN(piece.size, t->window_size);
	*ret_data = t->window;
	*ret_size = n;
	*ret_offset = piece.offset;
	advance(t, n);
	t->content_left -= n;
	t->piece_done += n;
	return 1;
}
