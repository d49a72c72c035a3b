/* SPDX-License-Identifier: Apache-2.0
 * The mapping as data: two small files in, extents out. Nothing here starts a process. */
#include "idmap/idmap.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"

enum { IDS_MAX = 1 << 24, FIRST_FREE = 100000 };

struct range {
	uint32_t start, count;
};

struct ranges {
	struct range items[IDMAP_EXTENTS_MAX];
	size_t count;
	uint64_t total, highest; /* the highest id + 1 that anybody has */
};

/* One line of subuid(5): NAME:START:COUNT. 0 and the range, or -EINVAL for what is no such line. */
static int parse_line(const char *line, struct strv *words, struct range *ret)
{
	strv_split(words, line, ":");
	if (words->count != 3 || parse_u32(words->items[1], &ret->start) < 0 ||
	    parse_u32(words->items[2], &ret->count) < 0)
		return -EINVAL;
	return ret->count == 0 || ret->start == 0 || (uint64_t)ret->start + ret->count > UINT32_MAX ? -EINVAL : 0;
}

static void collect(const char *text, const char *name, uint32_t number, struct ranges *ret)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *as_number = xasprintf("%u", number);
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv words = { 0 };
		struct range range;
		if (parse_line(lines.items[i], &words, &range) < 0)
			continue;
		ret->highest = MAX(ret->highest, (uint64_t)range.start + range.count);
		if ((!streq(words.items[0], name) && !streq(words.items[0], as_number)) ||
		    ret->count == ARRAY_SIZE(ret->items) - 3)
			continue;
		range.count = (uint32_t)MIN((uint64_t)range.count, IDS_MAX - ret->total);
		ret->total += range.count;
		if (range.count)
			ret->items[ret->count++] = range;
	}
}

static void add(struct idmap_extent *extents, size_t *count, uint32_t inside, uint32_t outside, uint32_t n)
{
	if (n)
		extents[(*count)++] = (struct idmap_extent){ inside, outside, n };
}

/* Lays the ranges end to end from id 0 on and leaves the place of `own` (unless it is 0) to
 * itself. */
static size_t lay_out(const struct ranges *ranges, uint32_t own, struct idmap_extent *extents)
{
	size_t count = 0;
	uint32_t inside = 0;
	int placed = own == 0;
	for (size_t i = 0; i < ranges->count; i++) {
		struct range range = ranges->items[i];
		uint32_t before = placed ? range.count : MIN(range.count, own - inside);
		add(extents, &count, inside, range.start, before);
		inside += before;
		if (!placed && inside == own) {
			add(extents, &count, own, own, 1);
			inside++;
			placed = 1;
		}
		add(extents, &count, inside, range.start + before, range.count - before);
		inside += range.count - before;
	}
	if (!placed)
		add(extents, &count, own, own, 1);
	return count;
}

static int contains(const struct ranges *ranges, uint32_t id)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (id >= ranges->items[i].start && id - ranges->items[i].start < ranges->items[i].count)
			return 1;
	return 0;
}

int idmap_make(const char *subuid, const char *subgid, const char *name, uint32_t uid, uint32_t gid, struct idmap *ret,
    struct error **err)
{
	struct ranges uids = { .highest = FIRST_FREE }, gids = { .highest = FIRST_FREE };
	collect(subuid, name, uid, &uids);
	collect(subgid, name, uid, &gids); /* subgid(5): by the user too */
	if (uids.total < IDMAP_IDS_MIN || gids.total < IDMAP_IDS_MIN) {
		unsigned long long from = MAX(uids.highest, gids.highest), to = from + IDMAP_IDS_MIN - 1;
		const char *file = uids.total < IDMAP_IDS_MIN ? "/etc/subuid" : "/etc/subgid";
		/* A user without an entry in passwd, whom usermod(8) does not know, has its number
		 * for a name. */
		if (name[strspn(name, "0123456789")] == 0)
			return error_set(err, ENOENT,
			    "user %s has no entry in passwd and no range of %d subordinate ids in %s; to add one: "
			    "write "
			    "the line %s:%llu:%d into /etc/subuid and /etc/subgid",
			    name, IDMAP_IDS_MIN, file, name, from, IDMAP_IDS_MIN);
		return error_set(err, ENOENT,
		    "user %s has no range of %d subordinate ids in %s; to add one: %susermod --add-subuids %llu-%llu "
		    "--add-subgids %llu-%llu %s",
		    name, IDMAP_IDS_MIN, file, uid ? "sudo " : "", from, to, from, to, name);
	}
	if (uid != 0 && gid == 0)
		return error_set(err, EINVAL,
		    "the primary group of user %s is root's (gid 0), which cannot be the user's inside; give the user "
		    "a "
		    "group of its own (sudo groupadd GROUP && sudo usermod -g GROUP %s), or take --isolation vm",
		    name, name);
	if (contains(&uids, uid) || contains(&gids, gid))
		return error_set(err, EINVAL,
		    "the subordinate ids of user %s in /etc/subuid and /etc/subgid contain the user's own", name);
	*ret = (struct idmap){ .uid = uid, .gid = gid, .by_root = uid == 0 };
	ret->uid_count = lay_out(&uids, uid, ret->uids);
	ret->gid_count = lay_out(&gids, uid ? gid : 0, ret->gids);
	return 0;
}

static uint32_t hash_extents(uint32_t hash, const struct idmap_extent *extents, size_t count)
{
	AUTOFREE char *text = idmap_format(extents, count, ' ');
	for (const char *at = text; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619U; /* FNV-1a */
	return (hash ^ '/') * 16777619U;
}

char *idmap_tag(const struct idmap *m)
{
	uint32_t hash = hash_extents(2166136261U, m->uids, m->uid_count);
	return xasprintf("%08x", hash_extents(hash, m->gids, m->gid_count));
}

int idmap_outside(const struct idmap_extent *extents, size_t count, uint32_t inside, uint32_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (inside < extents[i].inside || inside - extents[i].inside >= extents[i].count)
			continue;
		*ret = extents[i].outside + (inside - extents[i].inside);
		return 1;
	}
	return 0;
}

int idmap_inside(const struct idmap_extent *extents, size_t count, uint32_t outside, uint32_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (outside < extents[i].outside || outside - extents[i].outside >= extents[i].count)
			continue;
		*ret = extents[i].inside + (outside - extents[i].outside);
		return 1;
	}
	return 0;
}

char *idmap_format(const struct idmap_extent *extents, size_t count, char between)
{
	AUTO_STRV struct strv parts = { 0 };
	char separator[] = { between, '\0' };
	for (size_t i = 0; i < count; i++)
		strv_addf(&parts, "%u %u %u", extents[i].inside, extents[i].outside, extents[i].count);
	return strv_join(&parts, separator);
}

void idmap_onto_itself(const struct idmap *m, struct idmap *ret)
{
	*ret = *m;
	ret->single = ret->by_root = 0;
	for (size_t i = 0; i < ret->uid_count; i++)
		ret->uids[i].outside = ret->uids[i].inside;
	for (size_t i = 0; i < ret->gid_count; i++)
		ret->gids[i].outside = ret->gids[i].inside;
}

/* Adds inside -> what m maps `from` to, cut where m's ranges end. */
static void add_cut(const struct idmap_extent *m, size_t m_count, const struct idmap_extent *one,
    struct idmap_extent *extents, size_t *count)
{
	for (uint32_t done = 0; done < one->count && *count < IDMAP_EXTENTS_MAX;) {
		size_t i = 0;
		uint32_t from = one->outside + done;
		while (i < m_count && (from < m[i].inside || from - m[i].inside >= m[i].count))
			i++;
		if (i == m_count)
			return;
		uint32_t skipped = from - m[i].inside, n = MIN(one->count - done, m[i].count - skipped);
		add(extents, count, one->inside + done, m[i].outside + skipped, n);
		done += n;
	}
}

static size_t lay_out_containers(const struct idmap_extent *m, size_t m_count, uint32_t own,
    struct idmap_extent *extents)
{
	const uint32_t highest = IDMAP_IDS_MIN - 1, below = MIN(own - 1, highest);
	const struct idmap_extent parts[] = {
		{ 0, own, 1 },
		{ 1, 1, below },
		{ own, IDMAP_IDS_MIN, own <= highest },
		{ own + 1, own + 1, own < highest ? highest - own : 0 },
	};
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		add_cut(m, m_count, &parts[i], extents, &count);
	return count;
}

void idmap_for_containers(const struct idmap *m, uint32_t uid, uint32_t gid, struct idmap *ret)
{
	struct idmap made = { .uid = m->uid, .gid = m->gid, .by_root = m->by_root };
	if (m->single || uid == 0) {
		*ret = *m;
		return;
	}
	made.uid_count = lay_out_containers(m->uids, m->uid_count, uid, made.uids);
	made.gid_count = lay_out_containers(m->gids, m->gid_count, gid ? gid : 1, made.gids);
	*ret = made;
}
