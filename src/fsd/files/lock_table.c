/* SPDX-License-Identifier: Apache-2.0
 * Lock owners are few and short-lived, so a linear search finds them. A record is valid from the
 * store of its handle on, and its descriptor is closed only after that store is undone. So the next
 * worker finds a descriptor with all its locks behind each valid record. */
#include "fsd/files/lock_table.h"

#include <errno.h>

#include "base/fd.h"
#include "base/macros.h"
#include "fsd/files/handle.h"
#include "fsd/files/shared.h"

int lock_table_init(struct lock_table *t, unsigned max_fds)
{
	*t = (struct lock_table){
		.records = shared_new(sizeof(struct lock_records)),
		.max = MIN(max_fds, (unsigned)LOCK_OWNERS_MAX),
	};
	return t->records ? 0 : -ENOMEM;
}

void lock_owner_free(struct lock_table *t, struct lock_owner *o)
{
	SHARED_SET(o->handle, (uint64_t)0);
	fd_close(o->fd);
	t->released++;
}

void lock_table_reset(struct lock_table *t)
{
	if (!t->records)
		return;
	for (uint32_t n = 0; n < t->records->used; n++)
		if (t->records->items[n].handle)
			lock_owner_free(t, &t->records->items[n]);
}

void lock_table_done(struct lock_table *t)
{
	lock_table_reset(t);
	shared_free(t->records, sizeof *t->records);
	*t = (struct lock_table){ 0 };
}

void lock_table_rebuild(struct lock_table *t, struct handle_table *handles)
{
	if (!t->records)
		return;
	for (uint32_t n = 0; n < t->records->used; n++) {
		struct lock_owner *o = &t->records->items[n];
		struct handle *h = handle_with_id(handles, o->handle);
		if (o->handle && (!h || h->nodeid != o->nodeid || inode_check_fd(h->inode, o->fd) < 0))
			o->handle = 0; /* the descriptor belongs to no handle any more */
	}
}

struct lock_owner *lock_owner_find(struct lock_table *t, uint64_t nodeid, uint64_t owner)
{
	for (uint32_t n = 0; n < t->records->used; n++) {
		struct lock_owner *o = &t->records->items[n];
		if (o->handle && o->nodeid == nodeid && o->owner == owner)
			return o;
	}
	return NULL;
}

struct lock_owner *lock_owner_new(struct lock_table *t, uint64_t nodeid, uint64_t owner, uint64_t handle, int fd)
{
	uint32_t n = 0;
	while (n < t->records->used && t->records->items[n].handle)
		n++;
	if (n >= t->max)
		return NULL;
	struct lock_owner *o = &t->records->items[n];
	*o = (struct lock_owner){ .nodeid = nodeid, .owner = owner, .fd = fd };
	if (n == t->records->used)
		SHARED_SET(t->records->used, n + 1);
	SHARED_SET(o->handle, handle);
	return o;
}

void locks_release_handle(struct lock_table *t, uint64_t handle)
{
	for (uint32_t n = 0; t->records && n < t->records->used; n++)
		if (t->records->items[n].handle == handle)
			lock_owner_free(t, &t->records->items[n]);
}
