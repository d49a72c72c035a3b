/* SPDX-License-Identifier: Apache-2.0
 * pax extended headers (POSIX.1-2017, pax, "pax Extended Header"): records "LENGTH KEY=VALUE\n". A
 * table says what each key sets; keys that nobody here needs are passed over. Extended attributes
 * come as SCHILY.xattr.NAME (raw bytes) and as LIBARCHIVE.xattr.NAME (name in URL encoding, value
 * in base64); access control lists also as SCHILY.acl.* (text).
 */
#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "oci/tar_internal.h"

enum { XATTR_NAME_MAX = 255, XATTR_VALUE_MAX = 65536, XATTRS_MAX = 1024 };

typedef int record_handler(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err);

struct record {
	const char *key;
	record_handler *set;
	size_t offset; /* of the field in struct tar_pax, for the handlers that share one */
	unsigned bit;
};

static int set_text(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	char **to = (char **)((char *)&t->pax + offset);
	if (memchr(value, 0, size))
		return tar_broken(t, err, "a name has a NUL byte in it");
	free(*to);
	*to = size ? xstrndup(value, size) : NULL;
	return 0;
}

static int set_u64(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	uint64_t number = 0;
	if (parse_u64(value, &number) < 0 || number > INT64_MAX)
		return tar_broken(t, err, "an extended header has a number that makes no sense");
	*(uint64_t *)((char *)&t->pax + offset) = number;
	return 0;
}

static int set_u32(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	if (parse_u32(value, (uint32_t *)((char *)&t->pax + offset)) < 0)
		return tar_broken(t, err, "an extended header has a number that makes no sense");
	return 0;
}

/* "-12.5" is 12.5 seconds before 1970: seconds -13, nanoseconds 500000000. The second field follows
 * the first by a fixed distance. */
static int parse_time(const char *s, int64_t *ret, uint32_t *ret_ns)
{
	int negative = *s == '-';
	uint64_t seconds = 0;
	uint32_t ns = 0, unit = 100000000;
	s += negative;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		if (seconds > INT64_MAX / 20)
			return -ERANGE;
		seconds = seconds * 10 + (uint64_t)(*s - '0');
	}
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++, unit /= 10)
			ns += (uint32_t)(*s - '0') * unit;
	if (*s)
		return -EINVAL;
	*ret = negative ? -(int64_t)seconds : (int64_t)seconds;
	*ret_ns = ns;
	if (negative && ns > 0) {
		*ret -= 1;
		*ret_ns = 1000000000 - ns;
	}
	return 0;
}

static int set_time(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	struct tar_pax *p = &t->pax;
	int64_t *seconds = (int64_t *)((char *)p + offset);
	uint32_t *ns = seconds == &p->mtime ? &p->mtime_ns : seconds == &p->atime ? &p->atime_ns : &p->ctime_ns;
	if (parse_time(value, seconds, ns) < 0)
		return tar_broken(t, err, "an extended header has a time that makes no sense");
	return 0;
}

static int set_sparse_version(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	if (!streq(value, "1"))
		t->pax.has &= ~(unsigned)PAX_SPARSE_1_0; /* 0.x has its map in records */
	return 0;
}

static int set_sparse_offset(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	return set_u64(t, offsetof(struct tar_pax, sparse_offset), value, size, err);
}

static int set_sparse_length(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	uint64_t length = 0;
	if (parse_u64(value, &length) < 0 || length > INT64_MAX)
		return tar_broken(t, err, "the map of a sparse file makes no sense");
	t->pax.has_pieces = 1;
	return tar_sparse_add(t, &t->pax.pieces, &t->pax.piece_count,
	    (struct tar_piece){ t->pax.sparse_offset, length }, err);
}

static int set_sparse_count(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	t->pax.has_pieces = 1;
	return 0;
}

/* "0,100,4096,20" */
static int set_sparse_map(struct tar_reader *t, size_t offset, const char *value, size_t size, struct error **err)
{
	t->pax.has_pieces = 1;
	t->pax.piece_count = 0;
	uint64_t numbers[2];
	int have = 0;
	while (*value) {
		char text[24];
		size_t n = strcspn(value, ",");
		if (n >= sizeof text)
			return tar_broken(t, err, "the map of a sparse file makes no sense");
		memcpy(text, value, n);
		text[n] = 0;
		if (parse_u64(text, &numbers[have]) < 0 || numbers[have] > INT64_MAX)
			return tar_broken(t, err, "the map of a sparse file makes no sense");
		value += n + (value[n] == ',');
		if (++have < 2)
			continue;
		have = 0;
		int r = tar_sparse_add(t, &t->pax.pieces, &t->pax.piece_count,
		    (struct tar_piece){ numbers[0], numbers[1] }, err);
		if (r < 0)
			return r;
	}
	return have == 0 ? 0 : tar_broken(t, err, "the map of a sparse file makes no sense");
}

/* Makes file capabilities of version 3 version 2 (linux/capability.h, struct vfs_ns_cap_data).
 * Version 3 adds the root id of a user namespace, here of the place where the archive was made: the
 * kernel would take the capabilities for nobody's. */
static size_t plain_capabilities(const char *name, unsigned char *value, size_t size)
{
	if (!streq(name, "security.capability") || size != XATTR_CAPS_SZ_3 ||
	    value[3] != VFS_CAP_REVISION_3 >> VFS_CAP_REVISION_SHIFT)
		return size;
	value[3] = VFS_CAP_REVISION_2 >> VFS_CAP_REVISION_SHIFT;
	return XATTR_CAPS_SZ_2;
}

/* Takes name and value; a later record replaces an earlier one of the same name. */
static int add_xattr(struct tar_reader *t, char *name, unsigned char *value, size_t size, struct error **err)
{
	struct tar_pax *p = &t->pax;
	if (!name[0] || strlen(name) > XATTR_NAME_MAX || size > XATTR_VALUE_MAX || p->xattr_count >= XATTRS_MAX) {
		free(name);
		free(value);
		return error_set(err, E2BIG,
		    "an entry of the tar archive has too many or too long extended attributes");
	}
	size = plain_capabilities(name, value, size);
	for (size_t i = 0; i < p->xattr_count; i++) {
		if (!streq(p->xattrs[i].name, name))
			continue;
		free(name);
		free(p->xattrs[i].value);
		p->xattrs[i].value = value;
		p->xattrs[i].size = size;
		return 0;
	}
	p->xattrs = xrealloc(p->xattrs, p->xattr_count + 1, sizeof *p->xattrs);
	p->xattrs[p->xattr_count++] = (struct tar_xattr){ name, value, size };
	return 0;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
				      -1;
}

static char *decode_url(const char *s)
{
	char *to = xmalloc(strlen(s) + 1), *at = to;
	for (; *s; s++) {
		if (s[0] == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*at++ = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		} else {
			*at++ = *s;
		}
	}
	*at = 0;
	return to;
}

static unsigned char *decode_base64(const char *s, size_t size, size_t *ret_size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char *to = xmalloc(size / 4 * 3 + 4);
	size_t have = 0;
	uint32_t bits = 0;
	int count = 0;
	for (size_t i = 0; i < size && s[i]; i++) {
		const char *at = strchr(alphabet, s[i]);
		if (!at) /* padding, line ends */
			continue;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		count += 6;
		if (count >= 8) {
			count -= 8;
			to[have++] = (unsigned char)(bits >> count);
		}
	}
	*ret_size = have;
	return to;
}

/* Keys with a variable part and access control lists: 0 done, 1 not one of them. */
static int set_attribute(struct tar_reader *t, const char *key, const char *value, size_t size, struct error **err)
{
	const char *name = startswith(key, "SCHILY.xattr.");
	if (name)
		return add_xattr(t, xstrdup(name), xmemdup(value, size), size, err);
	if ((name = startswith(key, "LIBARCHIVE.xattr."))) {
		size_t decoded = 0;
		unsigned char *bytes = decode_base64(value, size, &decoded);
		return add_xattr(t, decode_url(name), bytes, decoded, err);
	}
	if ((name = startswith(key, "SCHILY.acl.")) && (streq(name, "access") || streq(name, "default"))) {
		size_t bytes = 0;
		unsigned char *acl = tar_acl_from_text(value, &bytes);
		return acl ? add_xattr(t, xasprintf("system.posix_acl_%s", name), acl, bytes, err) : 0;
	}
	return 1;
}

#define FIELD(name) offsetof(struct tar_pax, name)
static const struct record records[] = {
	{ "path", set_text, FIELD(path), 0 },
	{ "linkpath", set_text, FIELD(target), 0 },
	{ "uname", set_text, FIELD(user), 0 },
	{ "gname", set_text, FIELD(group), 0 },
	{ "size", set_u64, FIELD(size), PAX_SIZE },
	{ "uid", set_u32, FIELD(uid), PAX_UID },
	{ "gid", set_u32, FIELD(gid), PAX_GID },
	{ "mtime", set_time, FIELD(mtime), PAX_MTIME },
	{ "atime", set_time, FIELD(atime), PAX_ATIME },
	{ "ctime", set_time, FIELD(ctime), PAX_CTIME },
	{ "SCHILY.devmajor", set_u32, FIELD(major), PAX_MAJOR },
	{ "SCHILY.devminor", set_u32, FIELD(minor), PAX_MINOR },
	{ "GNU.sparse.name", set_text, FIELD(sparse_name), 0 },
	{ "GNU.sparse.size", set_u64, FIELD(real_size), PAX_REAL_SIZE },
	{ "GNU.sparse.realsize", set_u64, FIELD(real_size), PAX_REAL_SIZE },
	{ "GNU.sparse.major", set_sparse_version, 0, PAX_SPARSE_1_0 },
	{ "GNU.sparse.numblocks", set_sparse_count, 0, 0 },
	{ "GNU.sparse.offset", set_sparse_offset, 0, 0 },
	{ "GNU.sparse.numbytes", set_sparse_length, 0, 0 },
	{ "GNU.sparse.map", set_sparse_map, 0, 0 },
};

static int set_record(struct tar_reader *t, const char *key, const char *value, size_t size, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		const struct record *record = &records[i];
		if (!streq(key, record->key))
			continue;
		if (size == 0 && record->bit) { /* an empty value takes the field back */
			t->pax.has &= ~record->bit;
			return 0;
		}
		t->pax.has |= record->bit;
		return record->set(t, record->offset, value, size, err);
	}
	int r = set_attribute(t, key, value, size, err);
	return r > 0 ? 0 : r;
}

/* data[size] is NUL. Keys and values are NUL-terminated in a copy as they are found; a value may
 * have NULs inside. */
int tar_pax_parse(struct tar_reader *t, const char *data, size_t size, struct error **err)
{
	AUTOFREE char *copy = xmemdup(data, size + 1);
	for (char *at = copy, *end = copy + size; at < end;) {
		size_t length = 0;
		char *p = at;
		for (; p < end && isdigit((unsigned char)*p) && length <= size; p++)
			length = length * 10 + (size_t)(*p - '0');
		if (p == at || p >= end || *p != ' ' || length > (size_t)(end - at) || length < (size_t)(p - at) + 4 ||
		    at[length - 1] != '\n')
			return tar_broken(t, err, "an extended header has a record that makes no sense");
		char *key = p + 1, *next = at + length;
		char *equals = memchr(key, '=', (size_t)(next - 1 - key));
		if (!equals || equals == key || memchr(key, 0, (size_t)(equals - key)))
			return tar_broken(t, err, "an extended header has a record that makes no sense");
		*equals = 0;
		next[-1] = 0;
		int r = set_record(t, key, equals + 1, (size_t)(next - 1 - (equals + 1)), err);
		if (r < 0)
			return r;
		at = next;
	}
	return 0;
}
