/* SPDX-License-Identifier: Apache-2.0
 * What the guest knows of the shared tree: one record per file that it has looked up and not
 * forgotten. */
#pragma once

#include <stdint.h>

#include "fsd/files/identity.h"
#include "fsd/files/owners.h"
#include "fsd/files/pins.h"
#include "fsd/files/place.h"
#include "fsd/files/record.h"

struct handle;
struct watch;

/* In memory that outlives a worker; the next one believes the first group and finds out the rest
 * again. */
struct inode {
	uint64_t nodeid;  /* what the guest calls it; never used again for another file; 0: an unused record */
	uint64_t lookups; /* how often the guest was told of it */
	struct file_id id;
	uint32_t type;       /* S_IFMT bits */
	int fd;              /* O_PATH (a file without a name: whatever it was made with), or -1 */
	struct place *place; /* where it was seen last; NULL: the root, or a file without a name */

	unsigned refs;        /* records whose parent this is, plus open handles */
	struct inode *parent; /* of its place */
	struct inode *hash_next;
	struct inode *older, *newer; /* directories with an fd that can be closed, by last use */
	struct handle *handles;      /* open ones */
	struct {
		int64_t mtime_ns, ctime_ns;
		uint64_t size;
		int valid;
	} cached; /* the state that the guest's page cache is known to be of */
	struct {
		int64_t ctime_ns;
		struct owner host;
		struct record record;
		int valid;
	} owner; /* what stat does not say of it (ownership.c) */
	struct {
		int64_t mtime_ns;
		uint64_t size, at_ms;
		int valid;      /* not after a write of the guest's own */
	} told;                 /* the attributes that the guest was given last */
	int locked;             /* the guest has had a lock on it, with share-locks=host */
	unsigned stale_pending; /* OPENs that were answered with ESTALE, and will come again */
	struct watch *watch;    /* somebody inside wants to know what happens to it (watch.h) */
};

struct inode_records {
	uint32_t generation;  /* of the record made last: the high half of its node id */
	uint32_t used;        /* so many slots were ever used */
	struct inode items[]; /* by the low half of the node id */
};

struct inode_table {
	struct inode_records *records;
	size_t reserved; /* records that there is address space for */
	struct place_store places;
	uint32_t *free_slots;
	size_t free_count, free_room;
	struct inode **buckets;
	size_t bucket_count, count, max_count;
	struct inode *oldest, *newest;
	unsigned cached_fds, nameless_fds, max_fds;
	uint64_t search_after_ms; /* until then no directory that was moved is searched for */
	struct inode *root;
	/* A record that is watched is about to go, or has come to another directory; NULL when none
	 * is watched. */
	void (*watched_gone)(struct watch *w, void *data), (*watched_moved)(struct watch *w, void *data);
	void *watched_data;
	struct pins pins;
};

/* root is a descriptor of the shared directory (taken). There is room for max_count records, or
 * fewer where the host has not that much address space. max_fds bounds the descriptors kept here. 0
 * or -errno. */
int inode_table_init(struct inode_table *t, int root, size_t max_count, unsigned max_fds);
void inode_table_done(struct inode_table *t);
/* Finds out anew, from the records alone, what another process that used the table knew before it
 * died. Handles come after (handle_table_rebuild), then inode_table_settle(). Cached descriptors
 * are let go of, not closed. */
void inode_table_rebuild(struct inode_table *t);
void inode_table_settle(struct inode_table *t); /* frees what nobody needs */
/* Forgets everything but the root (the guest unmounted or started over). Handles must be closed
 * before. */
void inode_table_reset(struct inode_table *t);

/* At most as many records as it was made for. */
void inode_table_set_max(struct inode_table *t, size_t max_count);

static inline const char *inode_name(const struct inode *i)
{
	return i->place ? i->place->name : NULL;
}

struct inode *inode_find(struct inode_table *t, uint64_t nodeid);
/* The record of the file that st describes, if the guest knows it. */
struct inode *inode_known(struct inode_table *t, const struct statx *st);
/* The record with this identity, of whatever type. */
struct inode *inode_with_id(struct inode_table *t, const struct file_id *id);
/* Notes that the guest is told of the file that st describes, named `name` in `parent`: 0 and its
 * record, with one lookup more; -ENFILE when the guest holds more than it can honestly know. */
int inode_see(struct inode_table *t, struct inode *parent, const char *name, const struct statx *st,
    struct inode **ret);
/* The guest is told once more of a record that stays where it is. */
void inode_see_again(struct inode *i);
/* The same for a file without a name; takes fd when it succeeds. */
int inode_see_nameless(struct inode_table *t, int fd, const struct statx *st, struct inode **ret);
void inode_forget(struct inode_table *t, struct inode *i, uint64_t lookups); /* i may be gone after */
void inode_ref(struct inode *i);
void inode_unref(struct inode_table *t, struct inode *i);

/* A directory's O_PATH descriptor, borrowed until inode_table_trim(); -ESTALE when it is no longer
 * where it was, -errno. */
int inode_directory_fd(struct inode_table *t, struct inode *i);
/* An O_PATH descriptor of any file: *ret_owned is the same one when the caller has to close it,
 * else -1. Or -errno. */
int inode_path_fd(struct inode_table *t, struct inode *i, int *ret_owned);
/* The same for what programs do to a file that they have open (fchmod(2)), which FUSE does not tell
 * from what they do by name: where the name does not lead to it any more, or no one may go that
 * way, a descriptor (borrowed) of whatever kind that the guest has open. */
int inode_reach(struct inode_table *t, struct inode *i, int *ret_owned);
/* Whether the place where the file was seen last is in a directory that we may not search. */
int inode_is_shut(struct inode_table *t, struct inode *i);
/* Attributes: by descriptor, by an open handle, or by name; the file is checked to be the same. 0
 * or -errno. */
int inode_stat(struct inode_table *t, struct inode *i, struct statx *st);
/* Opens a directory for the case that a process inside comes to stand in it and the host moves it
 * then; another file: nothing. is_likely 0: half of the descriptors are left to others, and mounts
 * of the host stay free to be unmounted. */
void inode_hold_directory(struct inode_table *t, struct inode *i, int is_likely);
/* Keeps a descriptor of the file (O_PATH; taken) for a moment, so that it can be used without its
 * name (pins.h). */
void inode_hold(struct inode_table *t, struct inode *i, int fd);
/* Checks that st, or a descriptor, is of this very file: 0, -ESTALE, -errno. */
int inode_check(const struct inode *i, const struct statx *st);
int inode_check_fd(const struct inode *i, int fd);
/* The file has another name now. */
void inode_rename(struct inode_table *t, struct inode *i, struct inode *parent, const char *name);
/* The name under which i is known was removed; fd (O_PATH; taken) keeps the file usable for those
 * who have it open. */
void inode_unname(struct inode_table *t, struct inode *i, int fd);
/* Whether i is known under this very name. */
int inode_is_named(const struct inode *i, const struct inode *parent, const char *name);
/* Closes cached descriptors over the limit, the longest unused first. Between requests only. */
void inode_table_trim(struct inode_table *t);
