/* SPDX-License-Identifier: Apache-2.0
 * Headers become an entry. Extended headers ('x', and GNU's 'L' and 'K') are collected in `pax`
 * until the header of the entry itself comes, and override it. Global headers ('g') are skipped, as
 * the tools of containers do.
 *
 * Sizes of links, directories and devices are ignored (no content follows them), as Go's reader
 * does, which wrote most images.
 */
#include <errno.h>

#include "base/alloc.h"
#include "oci/tar_internal.h"

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

char tar_header_type(const struct tar_reader *t)
{
	return (char)t->header[AT_TYPE];
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

int tar_check_header(struct tar_reader *t, struct error **err)
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

/* Reads the content of an extended header, NUL-terminated, owned. */
static int read_special(struct tar_reader *t, char **ret, size_t *ret_size, struct error **err)
{
	uint64_t size = 0;
	int r = number(t, AT_SIZE, 12, INT64_MAX, &size, err);
	if (r < 0)
		return r;
	if (size > t->limits.header_max)
		return error_set(err, ENAMETOOLONG,
		    "an extended header in the tar archive has %llu bytes (at most %zu are taken)",
		    (unsigned long long)size, t->limits.header_max);
	AUTOFREE char *text = xmalloc((size_t)size + 1);
	if ((r = tar_take(t, text, (size_t)size, err)) < 0 || (r = tar_skip(t, -size & (TAR_BLOCK_SIZE - 1), err)) < 0)
		return r;
	text[size] = 0;
	*ret = TAKE_PTR(text);
	*ret_size = (size_t)size;
	return 0;
}

int tar_read_extension(struct tar_reader *t, char type, struct error **err)
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
		return xasprintf("%.*s/%.*s", star ? PREFIX_SIZE_STAR : PREFIX_SIZE, h + AT_PREFIX, NAME_SIZE,
		    h + AT_NAME);
	}
	return field_text(t, AT_NAME, NAME_SIZE);
}

static int set_type(struct tar_reader *t, struct error **err)
{
	static const char letters[] = "0172345"
				      "6SD";
	static const enum tar_type types[] = { TAR_FILE, TAR_LINK, TAR_FILE, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK,
		TAR_DIRECTORY, TAR_FIFO, TAR_FILE, TAR_DIRECTORY };
	char type = tar_header_type(t);
	struct tar_entry *e = &t->entry;
	if (type == 0)
		type = '0';
	const char *at = strchr(letters, type);
	if (!at)
		return error_set(err, EBADMSG, "\"%.200s\" has the type %d, which no tar archive of an image has",
		    e->path, type);
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
	const char *names[] = { e->path, e->target };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && strlen(names[i]) > t->limits.path_max)
			return error_set(err, ENAMETOOLONG,
			    "the name \"%.60s...\" has %zu bytes (at most %zu are possible)", names[i],
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
	int is_device = e->type == TAR_CHAR || e->type == TAR_BLOCK, r;
	e->uid = p->uid;
	e->gid = p->gid;
	e->major = is_device ? p->major : 0;
	e->minor = is_device ? p->minor : 0;
	if ((r = number32(t, AT_MODE, &mode, err)) < 0 ||
	    (!(p->has & PAX_UID) && (r = number32(t, AT_UID, &e->uid, err)) < 0) ||
	    (!(p->has & PAX_GID) && (r = number32(t, AT_GID, &e->gid, err)) < 0) ||
	    (is_device && !(p->has & PAX_MAJOR) && (r = number32(t, AT_MAJOR, &e->major, err)) < 0) ||
	    (is_device && !(p->has & PAX_MINOR) && (r = number32(t, AT_MINOR, &e->minor, err)) < 0))
		return r;
	e->mode = mode & 07777;
	return set_times(t, err);
}

/* How much content follows, and where it belongs. */
static int set_content(struct tar_reader *t, struct error **err)
{
	struct tar_entry *e = &t->entry;
	char type = tar_header_type(t);
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

int tar_make_entry(struct tar_reader *t, struct error **err)
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
