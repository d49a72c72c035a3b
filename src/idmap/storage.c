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

static int is_storage(const char *path)
{
	static const size_t length = sizeof STORAGE_FOLDER - 1;
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	return strncmp(path, STORAGE_FOLDER, length) == 0 && path[length] == '/' && path[length + 1];
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
	if (!is_storage(path))
		return;
	to_archive(m->uids, m->uid_count, uid);
	to_archive(m->gids, m->gid_count, gid);
}

void storage_ids_from_archive(void *map, const char *path, uint32_t *uid, uint32_t *gid)
{
	const struct idmap *m = map;
	if (!is_storage(path))
		return;
	from_archive(m->uids, m->uid_count, uid);
	from_archive(m->gids, m->gid_count, gid);
}
