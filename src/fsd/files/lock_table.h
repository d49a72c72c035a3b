/* SPDX-License-Identifier: Apache-2.0
 * The owners of the guest's locks that hold on the host too (share-locks=host). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct handle;
struct handle_table;
struct inode;
struct inode_table;

enum {
	LOCK_OWNERS_MAX = 1024,
	LOCK_WAITERS_MAX = 64, /* at once; more could fill the virtqueue that carries all requests */
};

/* One owner inside (a process, or an open file) and its fcntl(2) locks on one file. They are
 * open-file-description locks of a descriptor of their own. In memory that outlives a worker. */
struct lock_owner {
	uint64_t handle;        /* the share's handle of the last lock request; 0: an unused record */
	uint64_t nodeid, owner; /* the guest's ids */
	uint32_t pid;           /* inside */
	int fd;                 /* owned */
};

struct lock_records {
	uint32_t used; /* slots that were ever used */
	struct lock_owner items[LOCK_OWNERS_MAX];
};

struct lock_table {
	struct lock_records *records; /* NULL: locks hold in the guest alone */
	uint32_t max;
	unsigned released; /* counts releases, so that waiting requests are tried again */
};

/* For at most max_fds owners, and at most LOCK_OWNERS_MAX. 0 or -ENOMEM. */
int lock_table_init(struct lock_table *t, unsigned max_fds);
void lock_table_done(struct lock_table *t);
/* Rebuilds the table after the death of its worker. Call handle_table_rebuild() first. */
void lock_table_rebuild(struct lock_table *t, struct handle_table *handles);
/* Releases all locks. */
void lock_table_reset(struct lock_table *t);
/* The record of an owner's locks on a file (borrowed), or NULL. */
struct lock_owner *lock_owner_find(struct lock_table *t, uint64_t nodeid, uint64_t owner);
/* Adds an owner and takes fd. NULL, without taking fd, when there are too many. */
struct lock_owner *lock_owner_new(struct lock_table *t, uint64_t nodeid, uint64_t owner, uint64_t handle, int fd);
/* Closes the owner's descriptor, which releases its locks. */
void lock_owner_free(struct lock_table *t, struct lock_owner *o);
/* Releases the locks that were last requested through this handle. */
void locks_release_handle(struct lock_table *t, uint64_t handle);
