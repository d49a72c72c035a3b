/* SPDX-License-Identifier: Apache-2.0
 * Inodes: one record for each file that the guest has looked up and not forgotten. */
#pragma once

#include <stdint.h>

#include "fsd/files/identity.h"
#include "fsd/files/owners.h"
#include "fsd/files/pins.h"
#include "fsd/files/place.h"
#include "fsd/files/record.h"

struct handle;
struct watch;

/* In memory that outlives a worker. The next worker takes over the first group and rebuilds the
 * rest. */
struct inode {
	uint64_t nodeid;  /* the guest's name for it, never reused for another file; 0: an unused record */
	uint64_t lookups; /* the guest's lookup count: one for each reply that named this inode */
	struct file_id id;
	uint32_t type;       /* S_IFMT bits */
	int fd;              /* O_PATH, or -1; a file without a name: the descriptor that created it */
	struct place *place; /* directory and name at the last lookup; NULL: the root, or a file without a name */

	unsigned refs;        /* child records, plus open handles */
	struct inode *parent; /* the record of its place's directory */
	struct inode *hash_next;
	struct inode *older, *newer; /* directories with a cached fd, by last use */
	struct handle *handles;      /* its open handles */
	struct {
		int64_t mtime_ns, ctime_ns;
		uint64_t size;
		int valid;
	} cached; /* the state of the file that the guest's page cache holds */
	struct {
		int64_t ctime_ns;
		struct owner host;
		struct record record;
		int valid;
	} owner; /* owner and mode that stat(2) does not show (ownership.c) */
	struct {
		int64_t mtime_ns;
		uint64_t size, at_ms;
		int valid;      /* 0 after a write of the guest */
	} told;                 /* the attributes in the last reply to the guest */
	int locked;             /* the guest has had a lock on it, with share-locks=host */
	unsigned stale_pending; /* OPENs that failed with ESTALE, which the guest will repeat */
	struct watch *watch;    /* the guest watches it or a file in it (watch.h); NULL: no */
};

struct inode_records {
	uint32_t generation;  /* of the last record made: the high half of its node id */
	uint32_t used;        /* slots that were ever used */
	struct inode items[]; /* by the low half of the node id */
};

struct inode_table {
	struct inode_records *records;
	size_t reserved; /* records that fit into the address space */
	struct place_store places;
	uint32_t *free_slots;
	size_t free_count, free_room;
	struct inode **buckets;
	size_t bucket_count, count, max_count;
	struct inode *oldest, *newest;
	unsigned cached_fds, nameless_fds, max_fds;
	uint64_t search_after_ms; /* the end of the pause between searches for moved directories */
	struct inode *root;
	/* Called before a watched record is freed, and after it has moved to another directory.
	 * NULL when there are no watches. */
	void (*watched_gone)(struct watch *w, void *data), (*watched_moved)(struct watch *w, void *data);
	void *watched_data;
	struct pins pins;
};

/* root is a descriptor of the shared directory (taken). max_count is the number of records; there
 * may be fewer when address space is short. max_fds is the limit of cached descriptors. 0 or
 * -errno. */
int inode_table_init(struct inode_table *t, int root, size_t max_count, unsigned max_fds);
void inode_table_done(struct inode_table *t);
/* Rebuilds the table from its records after the death of its worker. Call handle_table_rebuild()
 * next, then inode_table_settle(). Descriptors that are not kept are forgotten, not closed. */
void inode_table_rebuild(struct inode_table *t);
void inode_table_settle(struct inode_table *t); /* frees unused records */
/* Forgets everything but the root: the guest has unmounted the share or starts over. Close all
 * handles before. */
void inode_table_reset(struct inode_table *t);

/* Sets the limit of records, at most the one of inode_table_init(). */
void inode_table_set_max(struct inode_table *t, size_t max_count);

static inline const char *inode_name(const struct inode *i)
{
	return i->place ? i->place->name : NULL;
}

/* The record with this node id, or NULL. */
struct inode *inode_find(struct inode_table *t, uint64_t nodeid);
/* The record of the file that st describes, or NULL when the guest does not know it. */
struct inode *inode_known(struct inode_table *t, const struct statx *st);
/* The record with this identity, of any file type, or NULL. */
struct inode *inode_with_id(struct inode_table *t, const struct file_id *id);
/* Counts one lookup of the file that st describes, named `name` in `parent`, and returns its
 * record. 0, or -ENFILE when the guest holds more records than an honest one can. */
int inode_see(struct inode_table *t, struct inode *parent, const char *name, const struct statx *st,
    struct inode **ret);
/* Counts one more lookup of a record, whose place stays. */
void inode_see_again(struct inode *i);
/* As inode_see(), for a file without a name. Takes fd if it succeeds. */
int inode_see_nameless(struct inode_table *t, int fd, const struct statx *st, struct inode **ret);
/* Subtracts lookups, which may free i. */
void inode_forget(struct inode_table *t, struct inode *i, uint64_t lookups);
void inode_ref(struct inode *i);
void inode_unref(struct inode_table *t, struct inode *i);

/* A directory's O_PATH descriptor, borrowed until inode_table_trim(); -ESTALE when the directory is
 * not found any more, -errno. */
int inode_directory_fd(struct inode_table *t, struct inode *i);
/* An O_PATH descriptor of any file, or -errno. *ret_owned is the same one if the caller has to
 * close it, else -1. */
int inode_path_fd(struct inode_table *t, struct inode *i, int *ret_owned);
/* As inode_path_fd(), for operations on open files (fchmod(2)), which FUSE does not distinguish
 * from those by name. If the name does not lead to the file any more, the descriptor of an open
 * handle (borrowed, of any kind). */
int inode_reach(struct inode_table *t, struct inode *i, int *ret_owned);
/* 1 if the directory of the file's place is unsearchable for the host user, else 0. */
int inode_is_unsearchable(struct inode_table *t, struct inode *i);
/* Reads the attributes by descriptor, by an open handle, or by name if it leads to the same file. 0
 * or -errno. */
int inode_stat(struct inode_table *t, struct inode *i, struct statx *st);
/* Caches a descriptor of a directory, in case a process inside changes into it and the host moves
 * it then. Other files: nothing. is_likely 0: uses half of the descriptors at most, and opens no
 * mount point, which the host could not unmount then. */
void inode_hold_directory(struct inode_table *t, struct inode *i, int is_likely);
/* Holds a descriptor of the file (O_PATH; taken) for a moment, so that the file can be used without
 * its name (pins.h). */
void inode_hold(struct inode_table *t, struct inode *i, int fd);
/* Checks that st, or a descriptor, is of this file: 0, -ESTALE, -errno. */
int inode_check(const struct inode *i, const struct statx *st);
int inode_check_fd(const struct inode *i, int fd);
/* Records that the file has another name now. */
void inode_rename(struct inode_table *t, struct inode *i, struct inode *parent, const char *name);
/* Records that the last known name of i is gone. fd (taken; -1: none) keeps the file usable for
 * processes that have it open. */
void inode_unname(struct inode_table *t, struct inode *i, int fd);
/* 1 if this is the last known name of i, else 0. */
int inode_is_named(const struct inode *i, const struct inode *parent, const char *name);
/* Closes cached descriptors over the limit, the least recently used first. Between requests
 * only. */
void inode_table_trim(struct inode_table *t);
