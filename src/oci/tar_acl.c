/* SPDX-License-Identifier: Apache-2.0
 * Access control lists as star and GNU tar write them ("user::rw-,user:joe:r--:1000,mask::r--",
 * commas or newlines; the number may also stand in place of the name) turned into the value of a
 * system.posix_acl_access attribute (linux/posix_acl_xattr.h): a version, then tag, permissions and
 * id, little-endian. A list that names somebody without a number cannot be kept: the whole list is
 * dropped then, as the tools of containers drop all of this kind.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"
#include "oci/tar_internal.h"

enum {
	ENTRIES_MAX = 512,
	TAG_USER_OBJ = 1,
	TAG_USER = 2,
	TAG_GROUP_OBJ = 4,
	TAG_GROUP = 8,
	TAG_MASK = 16,
	TAG_OTHER = 32,
};
#define ID_NONE UINT32_MAX

struct acl_entry {
	unsigned tag, permissions;
	uint32_t id;
};

/* Splits at colons, keeping empty parts: how many there were, at most 4. */
static size_t split(char *s, char *parts[4])
{
	size_t count = 0;
	for (char *part; count < 4 && (part = strsep(&s, ":"));)
		parts[count++] = part;
	return count;
}

static int parse_tag(const char *word, int named)
{
	if (streq(word, "user") || streq(word, "u"))
		return named ? TAG_USER : TAG_USER_OBJ;
	if (streq(word, "group") || streq(word, "g"))
		return named ? TAG_GROUP : TAG_GROUP_OBJ;
	if (streq(word, "mask") || streq(word, "m"))
		return named ? -1 : TAG_MASK;
	if (streq(word, "other") || streq(word, "o"))
		return named ? -1 : TAG_OTHER;
	return -1;
}

static int parse_entry(char *text, struct acl_entry *e)
{
	char *parts[4] = { 0 };
	size_t count = split(text, parts);
	if (count < 3)
		return -1;
	int named = parts[1][0] != 0;
	int tag = parse_tag(parts[0], named);
	if (tag < 0)
		return -1;
	*e = (struct acl_entry){ .tag = (unsigned)tag, .id = ID_NONE };
	for (const char *p = parts[2]; *p && *p != '\t' && *p != ' '; p++)
		e->permissions |= *p == 'r' ? 4 : *p == 'w' ? 2 : *p == 'x' ? 1 : 0;
	if (!named)
		return 0;
	return parse_u32(count > 3 ? parts[3] : parts[1], &e->id);
}

/* The kernel wants them sorted by tag, then by id. */
static int compare(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;
	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static void put_le(unsigned char *p, uint32_t value, int size)
{
	for (int i = 0; i < size; i++)
		p[i] = (unsigned char)(value >> (8 * i));
}

unsigned char *tar_acl_from_text(const char *text, size_t *ret_size)
{
	AUTO_STRV struct strv lines = { 0 };
	struct acl_entry entries[ENTRIES_MAX];
	strv_split(&lines, text, ",\n");
	if (lines.count < 3 || lines.count > ENTRIES_MAX)
		return NULL;
	for (size_t i = 0; i < lines.count; i++)
		if (parse_entry(lines.items[i], &entries[i]) < 0)
			return NULL;
	qsort(entries, lines.count, sizeof entries[0], compare);
	size_t size = 4 + 8 * lines.count;
	unsigned char *value = xcalloc(1, size);
	put_le(value, 2, 4);
	for (size_t i = 0; i < lines.count; i++) {
		put_le(value + 4 + 8 * i, entries[i].tag, 2);
		put_le(value + 6 + 8 * i, entries[i].permissions, 2);
		put_le(value + 8 + 8 * i, entries[i].id, 4);
	}
	*ret_size = size;
	return value;
}
