/* SPDX-License-Identifier: Apache-2.0
 * Directories that the host has renamed.
 *
 * Problem. A process inside has such a directory as its working directory. Its kernel does not look
 * the name up again, so ESTALE would last.
 *
 * Idea. The server holds a descriptor of each directory that the guest has looked up, and a
 * descriptor follows its directory. If the limit of descriptors has closed it, the server searches
 * the parent for the directory's identity, because mv(1) mostly renames within the parent.
 *
 * Failures. A directory that was moved elsewhere is lost then: open_by_handle_at(2) needs a
 * capability on the host, and a search of the whole share has no useful bound. The guest can
 * request searches at any rate, so a pause follows each one that finds nothing. */
#include "fsd/files/inode_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { BUFFER_SIZE = 16 * 1024, ENTRIES_MAX = 20000, PAUSE_SHARE = 20 };

/* Opens the entry if it is directory i. A descriptor or -ESTALE. */
static int try_entry(struct inode_table *t, int fd, struct inode *i, const struct dirent64 *d)
{
	if (d->d_ino != i->id.ino || (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN) || streq(d->d_name, ".."))
		return -ESTALE;
	AUTO_FD int found = inode_open_name(fd, d->d_name, O_PATH | O_DIRECTORY, 0);
	if (found < 0 || inode_check_fd(i, found) < 0)
		return -ESTALE;
	inode_rename(t, i, i->parent, d->d_name);
	return TAKE_FD(found);
}

static int search(struct inode_table *t, int fd, struct inode *i)
{
	_Alignas(struct dirent64) char buffer[BUFFER_SIZE];
	AUTO_FD int list = inode_open_name(fd, ".", O_RDONLY | O_DIRECTORY, 0);
	ssize_t size = 0;
	for (unsigned count = 0; count < ENTRIES_MAX && (size = getdents64(list, buffer, sizeof buffer)) > 0;)
		for (ssize_t at = 0; at < size; count++) {
			const struct dirent64 *d = (const struct dirent64 *)(const void *)(buffer + at);
			int found = try_entry(t, fd, i, d);
			if (found >= 0)
				return found;
			at += d->d_reclen;
		}
	return -ESTALE;
}

int inode_find_moved(struct inode_table *t, int fd, struct inode *i)
{
	uint64_t began = clock_now_ms();
	if (began < t->search_after_ms)
		return -ESTALE;
	int found = search(t, fd, i);
	if (found < 0)
		t->search_after_ms = began + (clock_now_ms() - began + 1) * PAUSE_SHARE;
	return found;
}
