/* SPDX-License-Identifier: Apache-2.0
 * Locks of the guest's that hold on the host too (share-locks=host): whose they are. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct handle;
struct handle_table;
struct inode;
struct inode_table;

enum {
	LOCK_OWNERS_MAX = 1024,
	LOCK_WAITERS_MAX = 64, /* at once; more would fill the queue that all requests come through */
};

/* The fcntl(2) locks that one owner inside (a process, or an open file) has on one file are
 * open-file-description locks of a descriptor made for them. In memory that outlives a worker. */
struct lock_owner {
	uint64_t handle;        /* of the share, that a lock was asked for through last; 0: an unused record */
	uint64_t nodeid, owner; /* what the guest calls them */
	uint32_t pid;           /* inside */
	int fd;                 /* owned */
};

struct lock_records {
	uint32_t used; /* so many were ever used */
	struct lock_owner items[LOCK_OWNERS_MAX];
};

struct lock_table {
	struct lock_records *records; /* NULL: locks are the guest's own affair */
	uint32_t max;
	unsigned released; /* goes up when a lock is, so that who waits tries again */
};

/* For at most max_fds owners, or LOCK_OWNERS_MAX: 0 or -ENOMEM. */
int lock_table_init(struct lock_table *t, unsigned max_fds);
void lock_table_done(struct lock_table *t);
/* After the death of another process that used the table, behind handle_table_rebuild(). */
void lock_table_rebuild(struct lock_table *t, struct handle_table *handles);
/* Releases all. */
void lock_table_reset(struct lock_table *t);
/* The record of an owner's locks on a file (borrowed), or NULL. */
struct lock_owner *lock_owner_find(struct lock_table *t, uint64_t nodeid, uint64_t owner);
/* Takes fd when it succeeds; NULL when there are too many. */
struct lock_owner *lock_owner_new(struct lock_table *t, uint64_t nodeid, uint64_t owner, uint64_t handle, int fd);
/* Closes its descriptor, which gives its locks up. */
void lock_owner_free(struct lock_table *t, struct lock_owner *o);
/* What was locked through this open file and is locked still. */
void locks_release_handle(struct lock_table *t, uint64_t handle);
