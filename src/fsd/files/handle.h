/* SPDX-License-Identifier: Apache-2.0
 * Files and directories that the guest has open. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "fsd/files/inode.h"

enum { DIRECTORY_BUFFERS = 32, DIRECTORY_BUFFER_SIZE = 32 << 10 };

/* In memory that outlives a worker; the next one believes the first group and finds out the rest
 * again. */
struct handle {
	uint64_t id;     /* what the guest calls it; never used again; 0: an unused record */
	uint64_t nodeid; /* of the inode */
	int fd;          /* a real descriptor, owned */
	int flags;       /* as it was opened */

	struct inode *inode; /* referenced */
	struct handle *next; /* of the same inode */
	int64_t position;    /* directories: where the rest of its buffer stands; -1: seek first */
	int buffer;          /* directories: index of a buffer that may still be ours */
};

struct handle_records {
	uint32_t generation; /* of the handle made last: the high half of its id */
	uint32_t used;       /* so many slots were ever used */
	struct handle items[];
};

/* What getdents gave and the guest has not asked for yet. There are few of these; a handle whose
 * buffer was taken by another reads again.
 */
struct directory_buffer {
	uint64_t owner; /* a handle's id, 0: free */
	size_t start, end;
	char *data;
	uint64_t used; /* for choosing the one to take: larger is later */
};

struct handle_table {
	struct handle_records *records;
	uint32_t *free_slots;
	size_t free_count, free_room, count, max_count; /* max_count: as it was made */
	struct directory_buffer buffers[DIRECTORY_BUFFERS];
	uint64_t clock;
};

int handle_table_init(struct handle_table *t, size_t max_count); /* 0 or -ENOMEM */
/* Finds out anew what is open after the death of another process that used the table; behind
 * inode_table_rebuild(). */
void handle_table_rebuild(struct handle_table *t, struct inode_table *inodes);
/* Closes all handles; the table stays usable. */
void handle_table_reset(struct handle_table *t, struct inode_table *inodes);
void handle_table_done(struct handle_table *t, struct inode_table *inodes);
/* Takes fd when it succeeds: the handle, or NULL when there are too many (ENFILE). Its id is
 * written to *note before it exists, so that who finds the note after a death can close what was
 * made. */
struct handle *handle_new(struct handle_table *t, struct inode *i, int fd, int flags, uint64_t *note);
/* The handle with this id, whatever it is of. */
struct handle *handle_with_id(struct handle_table *t, uint64_t id);
/* The handle with this id, if it is one of inode i. */
struct handle *handle_find(struct handle_table *t, uint64_t id, const struct inode *i);
void handle_free(struct handle_table *t, struct inode_table *inodes, struct handle *h);
/* The handle's own buffer if it still has it, else one that is empty (and position is -1). */
struct directory_buffer *handle_buffer(struct handle_table *t, struct handle *h);
