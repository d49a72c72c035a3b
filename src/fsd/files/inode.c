/* SPDX-License-Identifier: Apache-2.0
 * The table of files that the guest knows.
 *
 * Idea. A record does not hold its file open. It remembers the file's identity and its place: the
 * directory (a record, kept while it has children) and the name under which the guest saw it last.
 * A request opens that name from the directory's descriptor and compares the identity. If it
 * differs, the answer is -ESTALE, and Linux looks the path up again (inode_cache.c). So a guest
 * that has read a tree of a million files costs a million small records and no descriptors.
 *
 * Death of a worker. Records lie in memory that outlives the worker (shared.h), and descriptors in
 * a table that outlives it too (holder.c). The next worker takes over each record's identity,
 * lookups and place, and the descriptor of a file without a name. It rebuilds everything else.
 *
 * Bound. The caller derives max_count, the number of records, from the guest's memory. An honest
 * kernel spends more than 1 KiB on each file that it remembers, so only one that lies gets
 * -ENFILE. */
#include "fsd/files/inode_internal.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "fsd/files/shared.h"

enum { RECORDS_MIN = 64, PLACE_BYTES = 288 /* address space for a record's name, the longest */ };

static size_t bucket_of(const struct inode_table *t, const struct file_id *id)
{
	uint64_t h = (id->ino ^ id->dev * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
	return (h ^ h >> 32) & (t->bucket_count - 1);
}

static void grow_buckets(struct inode_table *t)
{
	struct inode **old = t->buckets;
	size_t old_count = t->bucket_count;
	t->bucket_count = old_count ? old_count * 2 : 256;
	t->buckets = xcalloc(t->bucket_count, sizeof(void *));
	for (size_t b = 0; b < old_count; b++)
		for (struct inode *i = old[b], *next; i; i = next) {
			next = i->hash_next;
			size_t to = bucket_of(t, &i->id);
			i->hash_next = t->buckets[to];
			t->buckets[to] = i;
		}
	free(old);
}

static void hash_remove(struct inode_table *t, struct inode *i)
{
	for (struct inode **p = &t->buckets[bucket_of(t, &i->id)]; *p; p = &(*p)->hash_next)
		if (*p == i) {
			*p = i->hash_next;
			return;
		}
}

void inode_hash_add(struct inode_table *t, struct inode *i)
{
	if (t->count >= t->bucket_count)
		grow_buckets(t);
	size_t b = bucket_of(t, &i->id);
	i->hash_next = t->buckets[b];
	t->buckets[b] = i;
	t->count++;
}

void inode_free_slot(struct inode_table *t, uint32_t slot)
{
	if (t->free_count == t->free_room) {
		t->free_room = t->free_room ? t->free_room * 2 : 256;
		t->free_slots = xrealloc(t->free_slots, t->free_room, sizeof *t->free_slots);
	}
	t->free_slots[t->free_count++] = slot;
}

/* Makes a record. The caller has checked that there is room. */
static struct inode *record_new(struct inode_table *t, const struct statx *st)
{
	struct inode_records *records = t->records;
	uint32_t slot = t->free_count ? t->free_slots[--t->free_count] : records->used;
	struct inode *i = &records->items[slot];
	*i = (struct inode){ .id = file_id_of(st), .type = st->stx_mode & S_IFMT, .fd = -1 };
	if (slot == records->used)
		SHARED_SET(records->used, slot + 1);
	uint64_t generation = records->generation;
	SHARED_SET(records->generation, records->generation + 1);
	SHARED_SET(i->nodeid, (generation << 32) + slot + 1);
	inode_hash_add(t, i);
	return i;
}

static void record_free(struct inode_table *t, struct inode *i)
{
	uint32_t slot = INODE_SLOT(i->nodeid);
	if (i->watch)
		t->watched_gone(i->watch, t->watched_data);
	hash_remove(t, i);
	inode_drop_fd(t, i);
	SHARED_SET(i->nodeid, 0);
	place_free(&t->places, i->place);
	i->place = NULL;
	inode_free_slot(t, slot);
	t->count--;
}

void inode_release(struct inode_table *t, struct inode *i)
{
	while (i && i != t->root && i->lookups == 0 && i->refs == 0) {
		struct inode *parent = i->parent;
		record_free(t, i);
		if (parent)
			parent->refs--;
		i = parent;
	}
}

static size_t records_size(size_t count)
{
	return sizeof(struct inode_records) + count * sizeof(struct inode);
}

static int map_records(struct inode_table *t, size_t count)
{
	t->records = shared_new(records_size(count));
	int r = t->records ? place_store_init(&t->places, count * PLACE_BYTES) : -ENOMEM;
	t->reserved = count;
	if (r < 0) {
		shared_free(t->records, records_size(count));
		t->records = NULL;
	}
	return r;
}

int inode_table_init(struct inode_table *t, int root, size_t max_count, unsigned max_fds)
{
	struct statx st;
	*t = (struct inode_table){ .max_count = max_count, .max_fds = max_fds };
	int r = inode_statx(root, "", &st);
	if (r == 0)
		r = map_records(t, MAX(max_count, (size_t)RECORDS_MIN));
	for (; r == -ENOMEM && t->reserved / 2 >= RECORDS_MIN; r = map_records(t, t->reserved / 2))
		;
	if (r < 0)
		return r;
	inode_table_set_max(t, max_count);
	t->root = record_new(t, &st);
	t->root->fd = root;
	return 0;
}

void inode_table_set_max(struct inode_table *t, size_t max_count)
{
	t->max_count = MIN(max_count, t->reserved);
}

void inode_table_reset(struct inode_table *t)
{
	struct inode_records *records = t->records;
	uint32_t used = records->used;
	pins_clear(&t->pins);
	for (uint32_t slot = 1; slot < used; slot++)
		if (records->items[slot].nodeid)
			record_free(t, &records->items[slot]);
	t->root->refs = 0;
	t->root->cached.valid = 0;
	SHARED_SET(records->used, 1U);
	shared_forget(&records->items[1], (used - 1) * sizeof records->items[0]);
	place_store_reset(&t->places);
	t->free_count = 0;
}

void inode_table_done(struct inode_table *t)
{
	if (t->root) {
		inode_table_reset(t);
		record_free(t, t->root);
	}
	free(t->free_slots);
	free(t->buckets);
	place_store_done(&t->places);
	shared_free(t->records, records_size(t->reserved));
	*t = (struct inode_table){ 0 };
}

struct inode *inode_find(struct inode_table *t, uint64_t nodeid)
{
	uint32_t slot = INODE_SLOT(nodeid);
	if (nodeid == 0 || slot >= t->records->used)
		return NULL;
	struct inode *i = &t->records->items[slot];
	return i->nodeid == nodeid ? i : NULL;
}

struct inode *inode_with_id(struct inode_table *t, const struct file_id *id)
{
	for (struct inode *i = t->buckets[bucket_of(t, id)]; i; i = i->hash_next)
		if (file_id_same(&i->id, id))
			return i;
	return NULL;
}

struct inode *inode_known(struct inode_table *t, const struct statx *st)
{
	struct file_id id = file_id_of(st);
	for (struct inode *i = t->buckets[bucket_of(t, &id)]; i; i = i->hash_next)
		if (file_id_same(&i->id, &id) && i->type == (st->stx_mode & S_IFMT))
			return i;
	return NULL;
}

/* 1 if `i` is `of` or one of its ancestors, else 0. */
static int is_ancestor(const struct inode *i, const struct inode *of)
{
	for (int depth = 0; of; of = of->parent)
		if (of == i || ++depth > INODE_DEPTH_MAX)
			return 1;
	return 0;
}

void inode_rename(struct inode_table *t, struct inode *i, struct inode *parent, const char *name)
{
	if (i == t->root || inode_is_named(i, parent, name))
		return;
	/* If the host moves directories, the places that the guest last saw could form a cycle.
	 * Such a record keeps its old place. */
	if (i->refs && is_ancestor(i, parent))
		return;
	struct place *p = place_new(&t->places, INODE_SLOT(i->nodeid), parent->nodeid, name), *before = i->place;
	if (!p)
		return;
	if (inode_is_nameless(t, i))
		inode_drop_fd(t, i);
	struct inode *old = i->parent;
	parent->refs++;
	SHARED_SET(i->place, p);
	i->parent = parent;
	place_free(&t->places, before);
	if (i->watch && parent != old)
		t->watched_moved(i->watch, t->watched_data);
	if (old) {
		old->refs--;
		inode_release(t, old);
	}
}

void inode_see_again(struct inode *i)
{
	SHARED_SET(i->lookups, i->lookups + 1);
}

int inode_see(struct inode_table *t, struct inode *parent, const char *name, const struct statx *st, struct inode **ret)
{
	struct inode *i = inode_known(t, st);
	if (!i) {
		if (t->count >= t->max_count)
			return -ENFILE;
		i = record_new(t, st);
	}
	inode_rename(t, i, parent, name);
	if (!i->place && i != t->root && i->lookups == 0 && i->refs == 0) {
		record_free(t, i); /* no room for its name */
		return -ENFILE;
	}
	inode_see_again(i);
	*ret = i;
	return 0;
}

int inode_see_nameless(struct inode_table *t, int fd, const struct statx *st, struct inode **ret)
{
	if (t->count >= t->max_count || t->nameless_fds >= t->max_fds)
		return -ENFILE;
	struct inode *i = inode_known(t, st);
	if (i)
		return -EIO; /* the guest cannot know a new file */
	i = record_new(t, st);
	i->fd = fd;
	t->nameless_fds++;
	i->lookups++;
	*ret = i;
	return 0;
}

void inode_unname(struct inode_table *t, struct inode *i, int fd)
{
	struct inode *parent = i->parent;
	if (parent) {
		struct place *place = i->place;
		inode_drop_fd(t, i);
		SHARED_SET(i->place, NULL);
		i->parent = NULL;
		place_free(&t->places, place);
	}
	if (fd >= 0 && i != t->root && i->fd < 0 && t->nameless_fds < t->max_fds) {
		SHARED_SET(i->fd, fd);
		t->nameless_fds++;
	} else
		fd_close(fd);
	if (parent) {
		parent->refs--;
		inode_release(t, parent);
	}
}

int inode_is_named(const struct inode *i, const struct inode *parent, const char *name)
{
	return i->place && i->parent == parent && streq(i->place->name, name);
}

void inode_forget(struct inode_table *t, struct inode *i, uint64_t lookups)
{
	i->lookups -= MIN(lookups, i->lookups);
	inode_release(t, i);
}

void inode_ref(struct inode *i)
{
	i->refs++;
}

void inode_unref(struct inode_table *t, struct inode *i)
{
	i->refs--;
	inode_release(t, i);
}
