/* SPDX-License-Identifier: Apache-2.0
 * See storage.h. */
#include "idmap/storage.h"

#include <string.h>

static size_t lay_out(uint32_t id, struct idmap_extent *to)
{
	to[0] = (struct idmap_extent){ 0, id ? id : STORAGE_IDS_FIRST, 1 };
	to[1] = (struct idmap_extent){ 1, STORAGE_IDS_FIRST + 1, STORAGE_IDS - 1 };
	return 2;
}

void storage_ids_of_vm(uint32_t uid, uint32_t gid, struct idmap *ret)
{
	struct idmap m = { .by_root = 1 };
	m.uid_count = lay_out(uid, m.uids);
	m.gid_count = lay_out(gid, m.gids);
	*ret = m;
}

void storage_own_ids_of_vm(struct idmap *ret)
{
	struct idmap m = { .by_root = 1, .uid_count = 2, .gid_count = 2 };
	m.uids[0] = m.gids[0] = (struct idmap_extent){ 0, STORAGE_IDS_FIRST, 1 };
	m.uids[1] = m.gids[1] = (struct idmap_extent){ 1, 1, STORAGE_IDS_FIRST - 1 };
	*ret = m;
}

enum kind { OTHER, CONTAINERS, OWN };

static enum kind kind_of(const char *path)
{
	static const size_t length = sizeof STORAGE_FOLDER - 1, own = sizeof "/" STORAGE_OWN_UPPER - 1;
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	if (strncmp(path, STORAGE_FOLDER, length) != 0 || path[length] != '/' || !path[length + 1])
		return OTHER;
	path += length + 1;
	path += strcspn(path, "/");
	int is_own = strncmp(path, "/" STORAGE_OWN_UPPER, own) == 0 && (!path[own] || path[own] == '/');
	return is_own ? OWN : CONTAINERS;
}

/* Only a VM has these ids. */
static int is_of_vm(const struct idmap *m)
{
	uint32_t outside;
	return idmap_outside(m->uids, m->uid_count, 1, &outside) && outside == STORAGE_IDS_FIRST + 1;
}

static void replace(uint32_t from, uint32_t to, uint32_t *id)
{
	if (*id == from)
		*id = to;
}

static void to_archive(const struct idmap_extent *extents, size_t count, uint32_t *id)
{
	uint32_t inside;
	if (idmap_inside(extents, count, *id, &inside) && inside < STORAGE_IDS)
		*id = STORAGE_IDS_FIRST + inside;
}

static void from_archive(const struct idmap_extent *extents, size_t count, uint32_t *id)
{
	uint32_t outside;
	if (*id >= STORAGE_IDS_FIRST && *id - STORAGE_IDS_FIRST < STORAGE_IDS &&
	    idmap_outside(extents, count, *id - STORAGE_IDS_FIRST, &outside))
		*id = outside;
}

void storage_ids_to_archive(void *map, const char *path, uint32_t *uid, uint32_t *gid)
{
	const struct idmap *m = map;
	enum kind kind = kind_of(path);
	if (kind == OWN) {
		replace(STORAGE_IDS_FIRST, 0, uid);
		replace(STORAGE_IDS_FIRST, 0, gid);
	} else if (kind == CONTAINERS) {
		to_archive(m->uids, m->uid_count, uid);
		to_archive(m->gids, m->gid_count, gid);
	}
}

void storage_ids_from_archive(void *map, const char *path, uint32_t *uid, uint32_t *gid)
{
	const struct idmap *m = map;
	enum kind kind = kind_of(path);
	if (kind == OWN && is_of_vm(m)) {
		replace(0, STORAGE_IDS_FIRST, uid);
		replace(0, STORAGE_IDS_FIRST, gid);
	} else if (kind == CONTAINERS) {
		from_archive(m->uids, m->uid_count, uid);
		from_archive(m->gids, m->gid_count, gid);
	}
}
