/* SPDX-License-Identifier: Apache-2.0
 * Theory of operation: the source hands out windows of the archive; headers are copied out of them block by block, content is
 * given on as it lies there, never copied. Extended headers ('x', and GNU's 'L' and 'K') are collected in `pax` until the header of the
 * entry itself comes, and override it. Global headers ('g') are skipped, as the tools of containers do.
 *
 * This is our own reader rather than libarchive's for three reasons: it links statically into the agent; names stay the bytes that they are
 * (libarchive converts them to the locale, and in the C locale loses those that are not ASCII); and every length has its cap
 * where it is read.
 *
 * Sizes of links, directories and devices are ignored (no content follows them), as Go's reader does, which wrote most images.
 */
#include <errno.h>
#include <limits.h>
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

/* Offsets and sizes in a header (ustar; GNU's differ where named so). */
enum {
	AT_NAME = 0,
	NAME_SIZE = 100,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_CHECKSUM = 148,
	AT_TYPE = 156,
	AT_TARGET = 157,
	AT_MAGIC = 257,
	AT_USER = 265,
	USER_SIZE = 32,
	AT_GROUP = 297,
	AT_MAJOR = 329,
	AT_MINOR = 337,
	AT_PREFIX = 345,
	PREFIX_SIZE = 155,
	PREFIX_SIZE_STAR = 131,
	AT_STAR_TRAILER = 508,
	AT_GNU_ATIME = 345,
	AT_GNU_CTIME = 357,
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
	*p = (struct tar_pax){0};
}

static void entry_done(struct tar_reader *t)
{
	struct tar_entry *e = &t->entry;
	free(e->path);
	free(e->target);
	free(e->user);
	free(e->group);
	free_xattrs(e->xattrs, e->xattr_count);
	*e = (struct tar_entry){0};
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
	return error_set(err, EBADMSG, "the tar archive is damaged near byte %llu: %s", (unsigned long long)t->position, text);
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
	t->window += n;
	t->window_size -= n;
	t->position += n;
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

static int skip(struct tar_reader *t, uint64_t size, struct error **err)
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

/* To the next block. Some writers leave the last file's padding out, as they do with the end mark: nothing is lost by it. */
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

int tar_parse_number(const unsigned char *field, size_t size, int64_t *ret)
{
	if (field[0] & 0x80) { /* base 256, two's complement over the whole field */
		int negative = (field[0] & 0x40) != 0;
		uint64_t value = negative ? UINT64_MAX : 0;
		for (size_t i = 0; i < size; i++) {
			unsigned char byte = i == 0 && !negative ? field[0] & 0x7f : field[i];
			if (i + 8 < size && byte != (negative ? 0xff : 0))
				return -ERANGE;
			value = value << 8 | byte;
		}
		if ((value >> 63 != 0) != negative)
			return -ERANGE;
		*ret = (int64_t)value;
		return 0;
	}
	uint64_t value = 0;
	size_t i = 0;
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
		if (value >> 60)
			return -ERANGE;
		value = value << 3 | (field[i] - '0');
	}
	for (; i < size; i++)
		if (field[i] != ' ' && field[i] != 0)
			return -EINVAL;
	*ret = (int64_t)value;
	return 0;
}

/* A number of a header, at most max. */
static int number(struct tar_reader *t, size_t at, size_t size, uint64_t max, uint64_t *ret, struct error **err)
{
	int64_t value = 0;
	if (tar_parse_number(t->header + at, size, &value) < 0 || value < 0 || (uint64_t)value > max)
		return tar_broken(t, err, "a header has a number that makes no sense");
	*ret = (uint64_t)value;
	return 0;
}

static int number32(struct tar_reader *t, size_t at, uint32_t *ret, struct error **err)
{
	uint64_t value = 0;
	int r = number(t, at, 8, UINT32_MAX, &value, err);
	*ret = (uint32_t)value;
	return r;
}

static int check_header(struct tar_reader *t, struct error **err)
{
	int64_t want = 0;
	int64_t sum = 0, signed_sum = 0; /* some old writers added signed bytes */
	for (size_t i = 0; i < TAR_BLOCK_SIZE; i++) {
		unsigned char byte = i >= AT_CHECKSUM && i < AT_CHECKSUM + 8 ? ' ' : t->header[i];
		sum += byte;
		signed_sum += (signed char)byte;
	}
	if (tar_parse_number(t->header + AT_CHECKSUM, 8, &want) < 0 || (want != sum && want != signed_sum))
		return tar_broken(t, err, "a header's checksum is wrong");
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
		r = check_header(t, err);
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

/* Reads the content of an extended header, NUL-terminated, owned. */
static int read_special(struct tar_reader *t, char **ret, size_t *ret_size, struct error **err)
{
	uint64_t size = 0;
	int r = number(t, AT_SIZE, 12, INT64_MAX, &size, err);
	if (r < 0)
		return r;
	if (size > t->limits.header_max)
		return error_set(err, ENAMETOOLONG, "an extended header in the tar archive has %llu bytes (at most %zu are taken)",
			(unsigned long long)size, t->limits.header_max);
	AUTOFREE char *text = xmalloc((size_t)size + 1);
	if ((r = tar_take(t, text, (size_t)size, err)) < 0 || (r = skip(t, -size & (TAR_BLOCK_SIZE - 1), err)) < 0)
		return r;
	text[size] = 0;
	*ret = TAKE_PTR(text);
	*ret_size = (size_t)size;
	return 0;
}

static int read_extension(struct tar_reader *t, char type, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;
	int r = read_special(t, &text, &size, err);
	if (r < 0)
		return r;
	switch (type) {
	case 'L':
	case 'K': {
		char **to = type == 'L' ? &t->pax.path : &t->pax.target;
		free(*to);
		*to = xstrdup(text);
		return 0;
	}
	case 'x':
	case 'X':
		return tar_pax_parse(t, text, size, err);
	default: /* 'g': comments of git archive and the like */
		return 0;
	}
}

/* A text field that need not end in NUL. */
static char *field_text(const struct tar_reader *t, size_t at, size_t size)
{
	return xstrndup((const char *)t->header + at, size);
}

static char *header_path(const struct tar_reader *t)
{
	const char *h = (const char *)t->header;
	if (memcmp(h + AT_MAGIC, "ustar", 6) == 0 && h[AT_PREFIX] != 0) {
		int star = memcmp(h + AT_STAR_TRAILER, "tar", 4) == 0;
		return xasprintf("%.*s/%.*s", star ? PREFIX_SIZE_STAR : PREFIX_SIZE, h + AT_PREFIX, NAME_SIZE, h + AT_NAME);
	}
	return field_text(t, AT_NAME, NAME_SIZE);
}

static int set_type(struct tar_reader *t, struct error **err)
{
	static const char letters[] = "0172345"
				      "6SD";
	static const enum tar_type types[] = {
		TAR_FILE, TAR_LINK, TAR_FILE, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK, TAR_DIRECTORY, TAR_FIFO, TAR_FILE, TAR_DIRECTORY};
	char type = (char)t->header[AT_TYPE];
	struct tar_entry *e = &t->entry;
	if (type == 0)
		type = '0';
	const char *at = strchr(letters, type);
	if (!at)
		return error_set(err, EBADMSG, "\"%.200s\" has the type %d, which no tar archive of an image has", e->path, type);
	e->type = types[at - letters];
	return 0;
}

/* Before there was a type for directories, they were empty files with a slash behind their name. */
static int is_old_directory(const struct tar_entry *e, char type, uint64_t stored)
{
	return (type == '0' || type == 0) && stored == 0 && endswith(e->path, "/");
}

static int check_names(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	if (!e->path[0])
		return tar_broken(t, err, "an entry has no name");
	const char *names[] = {e->path, e->target};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && strlen(names[i]) > t->limits.path_max)
			return error_set(err, ENAMETOOLONG, "the name \"%.60s...\" has %zu bytes (at most %zu are possible)", names[i],
				strlen(names[i]), t->limits.path_max);
	return 0;
}

/* Times: the extended header's, else the header's (GNU has all three there). */
static int set_times(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	const struct tar_pax *p = &t->pax;
	if (p->has & PAX_MTIME) {
		e->mtime = p->mtime;
		e->mtime_ns = p->mtime_ns;
	} else if (tar_parse_number(t->header + AT_MTIME, 12, &e->mtime) < 0) {
		return tar_broken(t, err, "a header has a number that makes no sense");
	}
	e->atime = e->ctime = e->mtime;
	e->atime_ns = e->ctime_ns = e->mtime_ns;
	if (p->has & PAX_ATIME) {
		e->atime = p->atime;
		e->atime_ns = p->atime_ns;
	}
	if (p->has & PAX_CTIME) {
		e->ctime = p->ctime;
		e->ctime_ns = p->ctime_ns;
	}
	return 0;
}

static int set_numbers(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	struct tar_pax *p = &t->pax;
	uint32_t mode = 0;
	int r = number32(t, AT_MODE, &mode, err);
	e->mode = mode & 07777;
	e->uid = p->uid;
	e->gid = p->gid;
	if (r == 0 && !(p->has & PAX_UID))
		r = number32(t, AT_UID, &e->uid, err);
	if (r == 0 && !(p->has & PAX_GID))
		r = number32(t, AT_GID, &e->gid, err);
	if (r == 0 && (e->type == TAR_CHAR || e->type == TAR_BLOCK)) {
		e->major = p->major;
		e->minor = p->minor;
		if (!(p->has & PAX_MAJOR))
			r = number32(t, AT_MAJOR, &e->major, err);
		if (r == 0 && !(p->has & PAX_MINOR))
			r = number32(t, AT_MINOR, &e->minor, err);
	}
	return r < 0 ? r : set_times(t, err);
}

/* How much content follows, and where it belongs. */
static int set_content(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	char type = (char)t->header[AT_TYPE];
	uint64_t stored = t->pax.size;
	int r;
	if (e->type != TAR_FILE && type != 'D')
		return 0;
	if (!(t->pax.has & PAX_SIZE) && (r = number(t, AT_SIZE, 12, INT64_MAX, &stored, err)) < 0)
		return r;
	t->content_left = stored;
	t->padding = -stored & (TAR_BLOCK_SIZE - 1);
	if (e->type != TAR_FILE)
		return 0;
	if (is_old_directory(e, type, stored)) {
		e->type = TAR_DIRECTORY;
		return 0;
	}
	e->size = stored;
	if (type == 'S')
		return tar_sparse_old(t, err);
	if (t->pax.has_pieces || (t->pax.has & PAX_SPARSE_1_0))
		return tar_sparse_pax(t, err);
	return 0;
}

static int make_entry(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	struct tar_pax *p = &t->pax;
	if (p->sparse_name)
		e->path = TAKE_PTR(p->sparse_name);
	else
		e->path = p->path ? TAKE_PTR(p->path) : header_path(t);
	int r = set_type(t, err);
	if (r < 0)
		return r;
	if (e->type == TAR_LINK || e->type == TAR_SYMLINK)
		e->target = p->target ? TAKE_PTR(p->target) : field_text(t, AT_TARGET, NAME_SIZE);
	if ((r = check_names(t, err)) < 0 || (r = set_numbers(t, err)) < 0)
		return r;
	int named = memcmp(t->header + AT_MAGIC, "ustar", 5) == 0;
	e->user = p->user ? TAKE_PTR(p->user) : named ? field_text(t, AT_USER, USER_SIZE) : NULL;
	e->group = p->group ? TAKE_PTR(p->group) : named ? field_text(t, AT_GROUP, USER_SIZE) : NULL;
	e->xattrs = TAKE_PTR(p->xattrs);
	e->xattr_count = p->xattr_count;
	p->xattr_count = 0;
	return set_content(t, err);
}

int tar_reader_next(struct tar_reader *t, const struct tar_entry **ret, struct error **err)
{
	int r = 0;
	if (t->ended)
		return 0;
	if ((r = skip(t, t->content_left, err)) < 0 || (r = skip_padding(t, err)) < 0)
		return r;
	t->content_left = t->padding = 0;
	entry_done(t);
	for (;;) {
		if ((r = next_header(t, err)) <= 0)
			return r;
		if (++t->entries > t->limits.entries_max)
			return error_set(
				err, E2BIG, "the tar archive has more than %llu entries", (unsigned long long)t->limits.entries_max);
		char type = (char)t->header[AT_TYPE];
		if (type != 0 && strchr("xXgLK", type)) {
			if ((r = read_extension(t, type, err)) < 0)
				return r;
			continue;
		}
		if (type == 'V') /* a volume's label */
			continue;
		r = make_entry(t, err);
		tar_pax_done(&t->pax);
		if (r < 0)
			return r;
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
	*ret = (struct tar_piece){t->pieces[t->piece_at].offset + t->piece_done, t->pieces[t->piece_at].size - t->piece_done};
	return 1;
}

int tar_reader_read(struct tar_reader *t, const void **ret_data, size_t *ret_size, uint64_t *ret_offset, struct error **err)
{
	struct tar_piece piece = {t->entry.size - t->content_left, t->content_left};
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
