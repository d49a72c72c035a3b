/* SPDX-License-Identifier: Apache-2.0
 * Rebuilds the inode table after the death of its worker. */
#include "fsd/files/inode_internal.h"

#include <sys/stat.h>

static int place_is_used(const struct place *p, void *data)
{
	const struct inode_table *t = data;
	return p->owner < t->records->used && t->records->items[p->owner].nodeid &&
	       t->records->items[p->owner].place == p;
}

/* Keeps the descriptor of a directory, which the host may have moved: it may be the working
 * directory of a process inside. */
static void keep_directory(struct inode_table *t, struct inode *i)
{
	if (i->fd >= 0 && inode_check_fd(i, i->fd) == 0)
		inode_cache_fd(t, i, i->fd);
	else
		i->fd = -1;
}

/* Rebuilds all of a record except its parent. */
static void recover_record(struct inode_table *t, struct inode *i)
{
	i->refs = 0;
	i->parent = i->older = i->newer = NULL;
	i->handles = NULL;
	i->cached.valid = i->told.valid = i->owner.valid = 0;
	i->stale_pending = 0;
	i->locked = 1; /* perhaps */
	i->watch = NULL;
	if (i->place && (!place_is_valid(&t->places, i->place) || i->place->owner != INODE_SLOT(i->nodeid)))
		i->place = NULL;
	if (i == t->root)
		i->place = NULL;
	else if (i->place ? i->type != S_IFDIR : i->fd >= 0 && inode_check_fd(i, i->fd) < 0)
		i->fd = -1;
	t->nameless_fds += inode_is_nameless(t, i) && i->fd >= 0;
	inode_hash_add(t, i);
}

void inode_table_rebuild(struct inode_table *t)
{
	struct inode_records *records = t->records;
	free(t->buckets);
	t->buckets = NULL;
	t->bucket_count = t->count = t->free_count = 0;
	t->cached_fds = t->nameless_fds = 0;
	t->oldest = t->newest = NULL;
	for (uint32_t slot = 0; slot < records->used; slot++) {
		struct inode *i = &records->items[slot];
		if (i->nodeid && INODE_SLOT(i->nodeid) == slot)
			recover_record(t, i);
		else {
			i->nodeid = 0;
			inode_free_slot(t, slot);
		}
	}
	for (uint32_t slot = 1; slot < records->used; slot++) {
		struct inode *i = &records->items[slot];
		if (!i->nodeid || !i->place)
			continue;
		i->parent = inode_find(t, i->place->parent);
		if (i->parent)
			i->parent->refs++;
		else {
			i->place = NULL; /* stale: the guest looks it up again */
			i->fd = -1;
		}
		if (i->parent && i->type == S_IFDIR)
			keep_directory(t, i);
	}
	place_store_rebuild(&t->places, place_is_used, t);
}

void inode_table_settle(struct inode_table *t)
{
	for (uint32_t slot = 1; slot < t->records->used; slot++)
		if (t->records->items[slot].nodeid)
			inode_release(t, &t->records->items[slot]);
}
