/* SPDX-License-Identifier: Apache-2.0
 * The table of open files: slots with generations, so that an id of a closed handle finds nothing. */
#include "fsd/handle.h"

#include "base/alloc.h"
#include "base/fd.h"

void handle_table_init(struct handle_table *t, size_t max_count)
{
	*t = (struct handle_table){.max_count = max_count};
}

static uint32_t take_slot(struct handle_table *t)
{
	if (t->free_count)
		return t->free_slots[--t->free_count];
	if (t->count >= t->slot_count) {
		size_t count = t->slot_count ? t->slot_count * 2 : 64;
		t->slots = xrealloc(t->slots, count, sizeof(void *));
		t->generations = xrealloc(t->generations, count, sizeof *t->generations);
		t->free_slots = xrealloc(t->free_slots, count, sizeof *t->free_slots);
		memset(t->slots + t->slot_count, 0, (count - t->slot_count) * sizeof(void *));
		memset(t->generations + t->slot_count, 0, (count - t->slot_count) * sizeof *t->generations);
		t->slot_count = count;
	}
	return (uint32_t)t->count;
}

struct handle *handle_new(struct handle_table *t, struct inode *i, int fd, int flags)
{
	if (t->count >= t->max_count)
		return NULL;
	struct handle *h = xnew(struct handle);
	uint32_t slot = take_slot(t);
	*h = (struct handle){.fd = fd, .flags = flags, .inode = i, .next = i->handles, .position = -1};
	h->id = ((uint64_t)t->generations[slot] << 32) + slot + 1;
	i->handles = h;
	inode_ref(i);
	t->slots[slot] = h;
	t->count++;
	return h;
}

struct handle *handle_find(struct handle_table *t, uint64_t id, const struct inode *i)
{
	uint32_t slot = (uint32_t)id - 1;
	struct handle *h = slot < t->slot_count ? t->slots[slot] : NULL;
	return h && h->id == id && h->inode == i ? h : NULL;
}

void handle_free(struct handle_table *t, struct inode_table *inodes, struct handle *h)
{
	struct handle **p = &h->inode->handles;
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	if (t->buffers[h->buffer].owner == h->id)
		t->buffers[h->buffer].owner = 0;
	uint32_t slot = (uint32_t)h->id - 1;
	t->slots[slot] = NULL;
	t->generations[slot]++;
	t->free_slots[t->free_count++] = slot;
	t->count--;
	fd_close(h->fd);
	inode_unref(inodes, h->inode);
	free(h);
}

void handle_table_reset(struct handle_table *t, struct inode_table *inodes)
{
	for (size_t s = 0; s < t->slot_count; s++)
		if (t->slots[s])
			handle_free(t, inodes, t->slots[s]);
}

void handle_table_done(struct handle_table *t, struct inode_table *inodes)
{
	handle_table_reset(t, inodes);
	for (unsigned b = 0; b < DIRECTORY_BUFFERS; b++)
		free(t->buffers[b].data);
	free(t->slots);
	free(t->generations);
	free(t->free_slots);
	*t = (struct handle_table){0};
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
