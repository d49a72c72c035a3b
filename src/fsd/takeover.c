/* SPDX-License-Identifier: Apache-2.0
 * The descriptors are those of the dead worker, by the same numbers (holder.c); the tables say which of them mean something. All others
 * were its own affairs (an event loop, guest memory, a file about to be opened), and would be lost otherwise. */
#include "fsd/takeover.h"

#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

struct fd_list {
	int *items;
	size_t count, room;
};

static void add(struct fd_list *l, int fd)
{
	if (fd < 0)
		return;
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->items = xrealloc(l->items, l->room, sizeof(int));
	}
	l->items[l->count++] = fd;
}

static int compare(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void close_range_of(unsigned first, unsigned last)
{
	if (first <= last)
		(void)syscall(SYS_close_range, first, last, 0); /* a kernel without it keeps a few too many */
}

static void close_others(struct fd_list *l)
{
	unsigned next = STDERR_FILENO + 1;
	qsort(l->items, l->count, sizeof(int), compare);
	for (size_t n = 0; n < l->count; n++) {
		unsigned fd = (unsigned)l->items[n];
		if (fd < next)
			continue;
		close_range_of(next, fd - 1);
		next = fd + 1;
	}
	close_range_of(next, UINT_MAX);
}

void share_take_over(struct share *s, const int *fds, size_t count)
{
	struct fd_list kept = {0};
	inode_table_rebuild(&s->inodes);
	handle_table_rebuild(&s->handles, &s->inodes);
	lock_table_rebuild(&s->locks, &s->handles);
	inode_table_settle(&s->inodes);
	for (size_t n = 0; n < count; n++)
		add(&kept, fds[n]);
	for (unsigned n = 0; n < s->hidden_count; n++)
		add(&kept, s->hidden[n].fd);
	for (uint32_t slot = 0; slot < s->inodes.records->used; slot++)
		if (s->inodes.records->items[slot].nodeid)
			add(&kept, s->inodes.records->items[slot].fd);
	for (uint32_t slot = 0; slot < s->handles.records->used; slot++)
		if (s->handles.records->items[slot].id)
			add(&kept, s->handles.records->items[slot].fd);
	for (uint32_t slot = 0; s->locks.records && slot < s->locks.records->used; slot++)
		if (s->locks.records->items[slot].handle)
			add(&kept, s->locks.records->items[slot].fd);
	close_others(&kept);
	free(kept.items);
}
