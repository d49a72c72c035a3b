/* SPDX-License-Identifier: Apache-2.0 */
#include "fsd/files/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/macros.h"
#include "base/parse.h"

enum { FIELDS = 4, MODE_MAX = 07777 };

int record_is_empty(const struct record *record)
{
	return record->uid == RECORD_NONE && record->gid == RECORD_NONE && record->mode == RECORD_NONE;
}

static int parse_field(const char *word, int octal, uint32_t *ret)
{
	*ret = RECORD_NONE;
	if (streq(word, "-"))
		return 0;
	int r = octal ? parse_octal(word, ret) : parse_u32(word, ret);
	return r < 0 || (octal && *ret > MODE_MAX) ? -EINVAL : 0;
}

int record_parse(const char *text, size_t size, struct record *ret)
{
	char copy[RECORD_TEXT_MAX + 1];
	uint32_t fields[FIELDS];
	if (size > RECORD_TEXT_MAX || memchr(text, 0, size))
		return -EINVAL;
	memcpy(copy, text, size);
	copy[size] = 0;
	char *at = copy;
	for (int n = 0; n < FIELDS; n++) {
		char *word = strsep(&at, ":");
		if (!word || (n == FIELDS - 1 && at) || parse_field(word, n >= 2, &fields[n]) < 0)
			return -EINVAL;
	}
	if ((fields[2] == RECORD_NONE) != (fields[3] == RECORD_NONE))
		return -EINVAL;
	*ret = (struct record){ fields[0], fields[1], fields[2], fields[3] };
	return 0;
}

struct record record_load(const char *path)
{
	char text[RECORD_TEXT_MAX];
	struct record record = RECORD_EMPTY;
	ssize_t n = getxattr(path, RECORD_NAME, text, sizeof text);
	if (n > 0 && record_parse(text, (size_t)n, &record) < 0)
		record = RECORD_EMPTY;
	return record;
}

static void format_field(char *text, size_t size, int octal, uint32_t value)
{
	if (value == RECORD_NONE)
		snprintf(text, size, "-");
	else
		snprintf(text, size, octal ? "%o" : "%u", value);
}

size_t record_format(const struct record *record, char text[RECORD_TEXT_MAX])
{
	char words[FIELDS][16];
	const uint32_t fields[FIELDS] = { record->uid, record->gid, record->mode, record->host_mode };
	for (int n = 0; n < FIELDS; n++)
		format_field(words[n], sizeof words[n], n >= 2, fields[n]);
	return (size_t)snprintf(text, RECORD_TEXT_MAX, "%s:%s:%s:%s", words[0], words[1], words[2], words[3]);
}

int record_store(const char *path, const struct record *record)
{
	char text[RECORD_TEXT_MAX];
	if (record_is_empty(record))
		return removexattr(path, RECORD_NAME) < 0 && errno != ENODATA ? -errno : 0;
	return setxattr(path, RECORD_NAME, text, record_format(record, text), 0) < 0 ? -errno : 0;
}
