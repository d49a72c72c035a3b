/* SPDX-License-Identifier: Apache-2.0
 * See subids.h. The kernel maps a range only when one line of the parent's map has all of it, so a
 * range never spans two. */
#include "agent/provision/subids.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/macros.h"
#include "base/parse.h"
#include "base/strv.h"

enum { USUAL = 65536, EXTENTS_MAX = 340, TEXT_MAX = 16 << 20 };

struct extent {
	uint64_t first, end; /* the id behind the last */
};

static size_t read_map(const char *text, struct extent *to)
{
	AUTO_STRV struct strv lines = { 0 };
	size_t n = 0;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count && n < EXTENTS_MAX; i++) {
		AUTO_STRV struct strv f = { 0 };
		uint32_t first, count;
		strv_split(&f, lines.items[i], " \t");
		if (f.count == 3 && parse_u32(f.items[0], &first) >= 0 && parse_u32(f.items[2], &count) >= 0)
			to[n++] = (struct extent){ first, (uint64_t)first + count };
	}
	return n;
}

static int is_of(const char *line, const char *user)
{
	const char *rest = startswith(line, user);
	return rest && *rest == ':';
}

static int is_mapped(const char *line, const struct extent *map, size_t count)
{
	AUTO_STRV struct strv f = { 0 };
	uint32_t first, n;
	strv_split(&f, line, ":");
	if (f.count != 3 || parse_u32(f.items[1], &first) < 0 || parse_u32(f.items[2], &n) < 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (first >= map[i].first && (uint64_t)first + n <= map[i].end)
			return 1;
	return 0;
}

static void add_range(struct buffer *b, const char *user, uint64_t first, uint64_t end)
{
	if (first < end)
		buffer_appendf(b, "%s:%llu:%llu\n", user, (unsigned long long)first, (unsigned long long)(end - first));
}

static void add_ranges(struct buffer *b, const char *user, uint32_t own, const struct extent *map, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t first = MAX(map[i].first, (uint64_t)USUAL + 1);
		if (first + USUAL <= map[i].end && (own < first || own >= first + USUAL)) {
			add_range(b, user, first, first + USUAL);
			return;
		}
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t first = MAX(map[i].first, (uint64_t)1), end = MIN(map[i].end, (uint64_t)USUAL + 1);
		int has_own = own >= first && own < end;
		add_range(b, user, first, has_own ? own : end);
		if (has_own)
			add_range(b, user, (uint64_t)own + 1, end);
	}
}

int subids_fit(char **text, const char *user, uint32_t own, const char *id_map)
{
	struct extent map[EXTENTS_MAX];
	AUTO_STRV struct strv lines = { 0 };
	AUTO_BUFFER struct buffer b;
	size_t count = read_map(id_map, map), bad = 0;
	buffer_init(&b, TEXT_MAX); /* files of the machine end long before */
	strv_split(&lines, *text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		bad += is_of(lines.items[i], user) && !is_mapped(lines.items[i], map, count);
		if (!is_of(lines.items[i], user))
			buffer_appendf(&b, "%s\n", lines.items[i]);
	}
	if (!count || !bad)
		return 0;
	add_ranges(&b, user, own, map, count);
	free(*text);
	*text = buffer_take_string(&b);
	return 1;
}
