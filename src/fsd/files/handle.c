/* SPDX-License-Identifier: Apache-2.0
 * The table of open files: slots with generations, so that the id of a closed handle finds nothing.
 * The id is stored after the rest of the record, and erased before the descriptor is closed. So the
 * next worker finds an open file behind each id. */
#include "fsd/files/handle.h"

#include <errno.h>
#include <fcntl.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "fsd/files/shared.h"

#define SLOT(id) ((uint32_t)(id)-1)

static size_t records_size(size_t count)
{
	return sizeof(struct handle_records) + count * sizeof(struct handle);
}

int handle_table_init(struct handle_table *t, size_t max_count)
{
	*t = (struct handle_table){ .max_count = max_count, .records = shared_new(records_size(max_count)) };
	return t->records ? 0 : -ENOMEM;
}

static void free_slot(struct handle_table *t, uint32_t slot)
{
	if (t->free_count == t->free_room) {
		t->free_room = t->free_room ? t->free_room * 2 : 64;
		t->free_slots = xrealloc(t->free_slots, t->free_room, sizeof *t->free_slots);
	}
	t->free_slots[t->free_count++] = slot;
}

static void attach(struct handle_table *t, struct inode *i, struct handle *h)
{
	h->inode = i;
	h->next = i->handles;
	i->handles = h;
	inode_ref(i);
	t->count++;
}

struct handle *handle_new(struct handle_table *t, struct inode *i, int fd, int flags, uint64_t *note)
{
	struct handle_records *records = t->records;
	if (t->count >= t->max_count)
		return NULL;
	uint32_t slot = t->free_count ? t->free_slots[--t->free_count] : records->used;
	struct handle *h = &records->items[slot];
	*h = (struct handle){ .fd = fd, .flags = flags, .nodeid = i->nodeid, .position = -1 };
	if (slot == records->used)
		SHARED_SET(records->used, slot + 1);
	uint64_t id = ((uint64_t)records->generation << 32) + slot + 1;
	SHARED_SET(records->generation, records->generation + 1);
	SHARED_SET(*note, id);
	SHARED_SET(h->id, id);
	attach(t, i, h);
	return h;
}

struct handle *handle_with_id(struct handle_table *t, uint64_t id)
{
	uint32_t slot = SLOT(id);
	struct handle *h = id && slot < t->records->used ? &t->records->items[slot] : NULL;
	return h && h->id == id ? h : NULL;
}

struct handle *handle_find(struct handle_table *t, uint64_t id, const struct inode *i)
{
	struct handle *h = handle_with_id(t, id);
	return h && h->inode == i ? h : NULL;
}

void handle_free(struct handle_table *t, struct inode_table *inodes, struct handle *h)
{
	struct handle **p = &h->inode->handles;
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	if (t->buffers[h->buffer].owner == h->id)
		t->buffers[h->buffer].owner = 0;
	uint32_t slot = SLOT(h->id);
	SHARED_SET(h->id, 0);
	free_slot(t, slot);
	t->count--;
	fd_close(h->fd);
	inode_unref(inodes, h->inode);
}

void handle_table_rebuild(struct handle_table *t, struct inode_table *inodes)
{
	struct handle_records *records = t->records;
	t->count = t->free_count = 0;
	for (unsigned b = 0; b < DIRECTORY_BUFFERS; b++)
		t->buffers[b].owner = 0;
	for (uint32_t slot = 0; slot < records->used; slot++) {
		struct handle *h = &records->items[slot];
		struct inode *i = h->id && SLOT(h->id) == slot ? inode_find(inodes, h->nodeid) : NULL;
		if (!i || inode_check_fd(i, h->fd) < 0) {
			h->id = 0;
			free_slot(t, slot);
			continue;
		}
		h->flags = (h->flags & ~O_APPEND) | (fcntl(h->fd, F_GETFL) & O_APPEND);
		h->position = -1;
		h->buffer = 0;
		attach(t, i, h);
	}
}

void handle_table_reset(struct handle_table *t, struct inode_table *inodes)
{
	for (uint32_t slot = 0; slot < t->records->used; slot++)
		if (t->records->items[slot].id)
			handle_free(t, inodes, &t->records->items[slot]);
}

void handle_table_done(struct handle_table *t, struct inode_table *inodes)
{
	if (t->records)
		handle_table_reset(t, inodes);
	for (unsigned b = 0; b < DIRECTORY_BUFFERS; b++)
		free(t->buffers[b].data);
	free(t->free_slots);
	shared_free(t->records, records_size(t->max_count));
	*t = (struct handle_table){ 0 };
}

struct directory_buffer *handle_buffer(struct handle_table *t, struct handle *h)
{
	struct directory_buffer *b = &t->buffers[h->buffer];
	if (b->owner != h->id) {
		b = t->buffers;
		for (unsigned n = 1; n < DIRECTORY_BUFFERS; n++)
			if (b->owner && (!t->buffers[n].owner || t->buffers[n].used < b->used))
				b = &t->buffers[n];
		if (!b->data)
			b->data = xmalloc(DIRECTORY_BUFFER_SIZE);
		b->owner = h->id;
		b->start = b->end = 0;
		h->position = -1;
		h->buffer = (int)(b - t->buffers);
	}
	b->used = ++t->clock;
	return b;
}
