/* SPDX-License-Identifier: Apache-2.0
 * The table of files that the guest knows.
 *
 * A record does not hold its file open. It remembers the last directory (a record, kept while it has children) and name under which it was
 * seen, and the file's identity; whoever needs the file goes by name from the parent's descriptor and checks that it is still the same
 * file, else -ESTALE, upon which Linux looks the path up again. So a guest that has read a tree of a million files costs a million small
 * records and no descriptors. Descriptors are kept for
 *  - the root;
 *  - directories, as a cache bounded by max_fds: dropped in order of last use between two requests, reopened from the nearest ancestor
 *    that has one, each step checked;
 *  - files whose last known name the guest removed while it still uses them: they can be reached no other way, and as long as one is held
 * the host does not give the inode number to another file. These are bounded by max_fds too; over it such a file goes stale.
 *
 * Records lie in memory that outlives the process (shared.h), descriptors in a table that does (holder.c). A process that takes them over
 * believes of each record its identity, its lookups, its place and, where it has no name, its descriptor, and rebuilds everything else.
 * The caller derives max_count, which bounds the records, from the guest's memory: an honest kernel spends more than a KiB of its own on
 * each file it remembers, so only one that lies meets -ENFILE. */
#include "fsd/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "fsd/handle.h"
#include "fsd/shared.h"

enum { DEPTH_MAX = 4096 }; /* directories between a file and the nearest open ancestor */
#define SLOT(nodeid) ((uint32_t)(nodeid)-1) /* node id 0 is nobody and 1 the root, so slots are counted from 1 */
enum { RECORDS_MIN = 64, PLACE_BYTES = 288 /* address space for a record's name, the longest */ };

struct file_id file_id_of(const struct statx *st)
{
	struct file_id id = {.dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor, .ino = st->stx_ino};
	if (st->stx_mask & STATX_BTIME)
		id.birth_ns = statx_ns(&st->stx_btime);
	return id;
}

int file_id_same(const struct file_id *a, const struct file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && (a->birth_ns == b->birth_ns || !a->birth_ns || !b->birth_ns);
}

int inode_statx(int directory, const char *name, struct statx *st)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	return statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, st) < 0 ? -errno : 0;
}

int inode_open_name(int directory, const char *name, uint64_t flags, uint32_t mode)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		if (errno != EINTR && !(errno == EAGAIN && tries < 64)) /* EAGAIN: a rename somewhere raced with RESOLVE_BENEATH */
			return -errno;
	}
}

int inode_check(const struct inode *i, const struct statx *st)
{
	struct file_id id = file_id_of(st);
	return file_id_same(&id, &i->id) && i->type == (st->stx_mode & S_IFMT) ? 0 : -ESTALE;
}

int inode_check_fd(const struct inode *i, int fd)
{
	struct statx st;
	int r = inode_statx(fd, "", &st);
	return r < 0 ? r : inode_check(i, &st);
}

/* --- cached descriptors, by last use --- */

static void lru_remove(struct inode_table *t, struct inode *i)
{
	*(i->older ? &i->older->newer : &t->oldest) = i->newer;
	*(i->newer ? &i->newer->older : &t->newest) = i->older;
	i->older = i->newer = NULL;
}

static void lru_add(struct inode_table *t, struct inode *i)
{
	i->older = t->newest;
	i->newer = NULL;
	*(t->newest ? &t->newest->newer : &t->oldest) = i;
	t->newest = i;
}

static int is_nameless(const struct inode_table *t, const struct inode *i)
{
	return i != t->root && !i->place;
}

/* Lets go of the record's descriptor, whichever kind it is. */
static void drop_fd(struct inode_table *t, struct inode *i)
{
	if (i->fd < 0)
		return;
	if (is_nameless(t, i))
		t->nameless_fds--;
	else if (i != t->root) {
		lru_remove(t, i);
		t->cached_fds--;
	}
	int fd = i->fd;
	SHARED_SET(i->fd, -1); /* never a number that stands for another file by now */
	fd_close(fd);
}

void inode_table_trim(struct inode_table *t)
{
	while (t->cached_fds > t->max_fds)
		drop_fd(t, t->oldest);
	(void)pins_trim(&t->pins);
}

/* --- records --- */

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

static void hash_add(struct inode_table *t, struct inode *i)
{
	if (t->count >= t->bucket_count)
		grow_buckets(t);
	size_t b = bucket_of(t, &i->id);
	i->hash_next = t->buckets[b];
	t->buckets[b] = i;
	t->count++;
}

static void free_slot(struct inode_table *t, uint32_t slot)
{
	if (t->free_count == t->free_room) {
		t->free_room = t->free_room ? t->free_room * 2 : 256;
		t->free_slots = xrealloc(t->free_slots, t->free_room, sizeof *t->free_slots);
	}
	t->free_slots[t->free_count++] = slot;
}

/* The caller has seen that there is room. */
static struct inode *record_new(struct inode_table *t, const struct statx *st)
{
	struct inode_records *r = t->records;
	uint32_t slot = t->free_count ? t->free_slots[--t->free_count] : r->used;
	struct inode *i = &r->items[slot];
	*i = (struct inode){.id = file_id_of(st), .type = st->stx_mode & S_IFMT, .fd = -1};
	if (slot == r->used)
		SHARED_SET(r->used, slot + 1);
	uint64_t generation = r->generation;
	SHARED_SET(r->generation, r->generation + 1);
	SHARED_SET(i->nodeid, (generation << 32) + slot + 1);
	hash_add(t, i);
	return i;
}

static void record_free(struct inode_table *t, struct inode *i)
{
	uint32_t slot = SLOT(i->nodeid);
	if (i->watch)
		t->watched_gone(i->watch, t->watched_data);
	hash_remove(t, i);
	drop_fd(t, i);
	SHARED_SET(i->nodeid, 0);
	place_free(&t->places, i->place);
	i->place = NULL;
	free_slot(t, slot);
	t->count--;
}

/* Frees a record that nobody needs, and then its parent if that was only kept for it. */
static void release(struct inode_table *t, struct inode *i)
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
	*t = (struct inode_table){.max_count = max_count, .max_fds = max_fds};
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
	struct inode_records *r = t->records;
	uint32_t used = r->used;
	pins_clear(&t->pins);
	for (uint32_t slot = 1; slot < used; slot++)
		if (r->items[slot].nodeid)
			record_free(t, &r->items[slot]);
	t->root->refs = 0;
	t->root->cached.valid = 0;
	SHARED_SET(r->used, 1U);
	shared_forget(&r->items[1], (used - 1) * sizeof r->items[0]);
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
	*t = (struct inode_table){0};
}

struct inode *inode_find(struct inode_table *t, uint64_t nodeid)
{
	uint32_t slot = SLOT(nodeid);
	if (nodeid == 0 || slot >= t->records->used)
		return NULL;
	struct inode *i = &t->records->items[slot];
	return i->nodeid == nodeid ? i : NULL;
}

/* --- after the death of another process that used the table --- */

static int place_is_used(const struct place *p, void *data)
{
	const struct inode_table *t = data;
	return p->owner < t->records->used && t->records->items[p->owner].nodeid && t->records->items[p->owner].place == p;
}

/* What there is to know about a record without its parent. */
static void recover_record(struct inode_table *t, struct inode *i)
{
	i->refs = 0;
	i->parent = i->older = i->newer = NULL;
	i->handles = NULL;
	i->cached.valid = i->told.valid = i->owner.valid = 0;
	i->stale_pending = 0;
	i->locked = 1; /* perhaps */
	i->watch = NULL;
	if (i->place && (!place_is_valid(&t->places, i->place) || i->place->owner != SLOT(i->nodeid)))
		i->place = NULL;
	if (i == t->root)
		i->place = NULL;
	else if (i->place || (i->fd >= 0 && inode_check_fd(i, i->fd) < 0))
		i->fd = -1;
	t->nameless_fds += is_nameless(t, i) && i->fd >= 0;
	hash_add(t, i);
}

void inode_table_rebuild(struct inode_table *t)
{
	struct inode_records *r = t->records;
	free(t->buckets);
	t->buckets = NULL;
	t->bucket_count = t->count = t->free_count = 0;
	t->cached_fds = t->nameless_fds = 0;
	t->oldest = t->newest = NULL;
	for (uint32_t slot = 0; slot < r->used; slot++) {
		struct inode *i = &r->items[slot];
		if (i->nodeid && SLOT(i->nodeid) == slot)
			recover_record(t, i);
		else {
			i->nodeid = 0;
			free_slot(t, slot);
		}
	}
	for (uint32_t slot = 1; slot < r->used; slot++) {
		struct inode *i = &r->items[slot];
		if (!i->nodeid || !i->place)
			continue;
		i->parent = inode_find(t, i->place->parent);
		if (i->parent)
			i->parent->refs++;
		else
			i->place = NULL; /* stale: the guest looks again */
	}
	place_store_rebuild(&t->places, place_is_used, t);
}

void inode_table_settle(struct inode_table *t)
{
	for (uint32_t slot = 1; slot < t->records->used; slot++)
		if (t->records->items[slot].nodeid)
			release(t, &t->records->items[slot]);
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

/* Whether `i` is `of` or one of its ancestors. */
static int is_ancestor(const struct inode *i, const struct inode *of)
{
	for (int depth = 0; of; of = of->parent)
		if (of == i || ++depth > DEPTH_MAX)
			return 1;
	return 0;
}

void inode_rename(struct inode_table *t, struct inode *i, struct inode *parent, const char *name)
{
	if (i == t->root || inode_is_named(i, parent, name))
		return;
	/* The host can move directories so that what the guest last saw would be a circle: such a record keeps its old place. */
	if (i->refs && is_ancestor(i, parent))
		return;
	struct place *p = place_new(&t->places, SLOT(i->nodeid), parent->nodeid, name), *before = i->place;
	if (!p)
		return;
	if (is_nameless(t, i))
		drop_fd(t, i);
	struct inode *old = i->parent;
	parent->refs++;
	SHARED_SET(i->place, p);
	i->parent = parent;
	place_free(&t->places, before);
	if (i->watch && parent != old)
		t->watched_moved(i->watch, t->watched_data);
	if (old) {
		old->refs--;
		release(t, old);
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
		return -EIO; /* a new file cannot be known */
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
		drop_fd(t, i);
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
		release(t, parent);
	}
}

int inode_is_named(const struct inode *i, const struct inode *parent, const char *name)
{
	return i->place && i->parent == parent && streq(i->place->name, name);
}

void inode_forget(struct inode_table *t, struct inode *i, uint64_t lookups)
{
	i->lookups -= MIN(lookups, i->lookups);
	release(t, i);
}

void inode_ref(struct inode *i)
{
	i->refs++;
}

void inode_unref(struct inode_table *t, struct inode *i)
{
	i->refs--;
	release(t, i);
}

/* --- from records to files --- */

int inode_directory_fd(struct inode_table *t, struct inode *i)
{
	if (i->type != S_IFDIR)
		return -ENOTDIR;
	if (i->fd >= 0) {
		if (i != t->root && i->place) {
			lru_remove(t, i);
			lru_add(t, i);
		}
		return i->fd;
	}
	struct inode *way[DEPTH_MAX];
	unsigned depth = 0;
	struct inode *from = i;
	for (; from && from->fd < 0; from = from->parent) {
		if (depth == DEPTH_MAX)
			return -ESTALE;
		way[depth++] = from;
	}
	if (!from)
		return -ESTALE;
	AUTO_FD int owned = -1;
	for (int fd = from->fd; depth > 0; fd = owned) {
		struct inode *next = way[--depth];
		int opened = inode_open_name(fd, inode_name(next), O_PATH | O_DIRECTORY, 0);
		fd_close(TAKE_FD(owned));
		if (opened < 0)
			return opened == -ENOENT || opened == -ENOTDIR || opened == -ELOOP ? -ESTALE : opened;
		owned = opened;
		int r = inode_check_fd(next, opened);
		if (r < 0)
			return r;
	}
	i->fd = TAKE_FD(owned);
	t->cached_fds++;
	lru_add(t, i);
	return i->fd;
}

void inode_hold(struct inode_table *t, struct inode *i, int fd)
{
	if (i->fd >= 0)
		fd_close(fd);
	else if (i->type == S_IFDIR && i->place) {
		i->fd = fd;
		t->cached_fds++;
		lru_add(t, i);
	} else
		pins_add(&t->pins, i->nodeid, fd);
}

int inode_path_fd(struct inode_table *t, struct inode *i, int *ret_owned)
{
	*ret_owned = -1;
	if (i->fd >= 0)
		return i->fd;
	if (i->type == S_IFDIR)
		return inode_directory_fd(t, i);
	if (!i->parent)
		return -ESTALE;
	int directory = inode_directory_fd(t, i->parent);
	if (directory < 0)
		return directory;
	/* O_PATH with O_NOFOLLOW opens a symlink itself, which RESOLVE_NO_SYMLINKS allows for the last component. */
	AUTO_FD int fd = inode_open_name(directory, inode_name(i), O_PATH, 0);
	int r = fd < 0 ? fd : inode_check_fd(i, fd);
	if (r == -ENOENT || r == -ESTALE)
		return pins_find(&t->pins, i->nodeid);
	if (r < 0)
		return r;
	return *ret_owned = TAKE_FD(fd);
}

int inode_reach(struct inode_table *t, struct inode *i, int *ret_owned)
{
	int fd = inode_path_fd(t, i, ret_owned);
	return fd < 0 && i->handles ? i->handles->fd : fd;
}

int inode_is_shut(struct inode_table *t, struct inode *i)
{
	struct statx st;
	int directory = i->parent ? inode_directory_fd(t, i->parent) : -ESTALE;
	return directory == -EACCES || (directory >= 0 && inode_statx(directory, inode_name(i), &st) == -EACCES);
}

int inode_stat(struct inode_table *t, struct inode *i, struct statx *st)
{
	if (i->fd >= 0)
		return inode_statx(i->fd, "", st);
	if (i->handles)
		return inode_statx(i->handles->fd, "", st);
	if (!i->parent)
		return -ESTALE;
	int directory = inode_directory_fd(t, i->parent);
	if (directory < 0)
		return directory;
	int r = inode_statx(directory, inode_name(i), st);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && inode_check(i, st) == 0)
		return 0;
	int pinned = pins_find(&t->pins, i->nodeid);
	return pinned < 0 ? pinned : inode_statx(pinned, "", st);
}
