/* SPDX-License-Identifier: Apache-2.0
 * Handles: the files and directories that the guest has open. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "fsd/files/inode.h"

enum { DIRECTORY_BUFFERS = 32, DIRECTORY_BUFFER_SIZE = 32 << 10 };

/* In memory that outlives a worker. The next worker takes over the first group and rebuilds the
 * rest. */
struct handle {
	uint64_t id;     /* the guest's name for it, never reused; 0: an unused record */
	uint64_t nodeid; /* of the inode */
	int fd;          /* owned; not O_PATH, except for a replay */
	int flags;       /* of open(2) */

	struct inode *inode; /* referenced */
	struct handle *next; /* of the same inode */
	int64_t position;    /* directories: offset of the buffer's next entry; -1: seek first */
	int buffer;          /* directories: index of the buffer, which another handle may have taken */
};

struct handle_records {
	uint32_t generation; /* of the last handle made: the high half of its id */
	uint32_t used;       /* slots that were ever used */
	struct handle items[];
};

/* Entries that getdents64(2) has returned and the guest has not read yet. There are few buffers; a
 * handle that has lost its buffer reads the directory again. */
struct directory_buffer {
	uint64_t owner; /* a handle's id, 0: free */
	size_t start, end;
	char *data;
	uint64_t used; /* clock of the last use; the smallest is taken first */
};

struct handle_table {
	struct handle_records *records;
	uint32_t *free_slots;
	size_t free_count, free_room, count, max_count; /* max_count: of handle_table_init() */
	struct directory_buffer buffers[DIRECTORY_BUFFERS];
	uint64_t clock;
};

int handle_table_init(struct handle_table *t, size_t max_count); /* 0 or -ENOMEM */
/* Rebuilds the table after the death of its worker. Call inode_table_rebuild() first. */
void handle_table_rebuild(struct handle_table *t, struct inode_table *inodes);
/* Closes all handles; the table stays usable. */
void handle_table_reset(struct handle_table *t, struct inode_table *inodes);
void handle_table_done(struct handle_table *t, struct inode_table *inodes);
/* Makes a handle and takes fd. NULL, without taking fd, when there are too many (ENFILE). Writes
 * the id to *note before the handle exists, so that the next worker can close a handle whose reply
 * was never sent. */
struct handle *handle_new(struct handle_table *t, struct inode *i, int fd, int flags, uint64_t *note);
/* The handle with this id, or NULL. */
struct handle *handle_with_id(struct handle_table *t, uint64_t id);
/* The handle with this id, if it is of inode i; else NULL. */
struct handle *handle_find(struct handle_table *t, uint64_t id, const struct inode *i);
/* Closes the handle. */
void handle_free(struct handle_table *t, struct inode_table *inodes, struct handle *h);
/* The handle's buffer if it still has it, else an empty one (and position becomes -1). */
struct directory_buffer *handle_buffer(struct handle_table *t, struct handle *h);
