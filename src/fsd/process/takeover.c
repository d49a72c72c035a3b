/* SPDX-License-Identifier: Apache-2.0
 * The takeover: a new worker continues where a dead one stopped, and the guest notices nothing.
 *
 * Problem. The guest relies on state of the worker: node ids, handles, files that have no name any
 * more, positions in directories, locks, and requests without an answer.
 *
 * Idea. All of it lies in memory and descriptors that outlive the worker (holder.c). Records of
 * inodes, places, handles and locks are in shared memory, at the same address in each worker. A
 * writer changes a record by one store of a word, after everything that the word leads to
 * (shared.h). So a death between any two instructions leaves the old state or the new one, both of
 * them whole.
 *
 * Steps, before the new worker serves:
 * 1. inode_table_rebuild(), handle_table_rebuild() and lock_table_rebuild() rebuild from the
 *    records: hash chains, references, parents.
 * 2. inode_table_settle() frees the records that nobody refers to.
 * 3. All other descriptors are closed. They were the dead worker's own: an event loop, guest
 *    memory, a file that it was about to hand out.
 * 4. device.c takes the requests that were taken and not answered from the ledger (ledger.h), in
 *    their order. request_undo() undoes the lookup and the open file of such a request.
 * 5. retry.c carries the request out again, or finds that the change was made.
 *
 * Failures. A record that does not fit its descriptor is dropped (a lock whose file is another
 * one). A node id with too many lookups costs memory until the guest unmounts; one with too few
 * would be an error in the guest. So each doubtful count stays high. All this is right for the
 * first worker, too: its tables are empty. */
#include "fsd/process/takeover.h"

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
		(void)syscall(SYS_close_range, first, last,
		    0); /* on a kernel without it, a few descriptors stay open */
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
	struct fd_list kept = { 0 };
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
