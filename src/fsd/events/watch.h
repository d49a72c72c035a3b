/* SPDX-License-Identifier: Apache-2.0
 * What the host does to files that somebody inside watches, from inotify(7). A worker's own: the
 * next one starts without any. */
#pragma once

#include <sys/inotify.h>

#include "fsd/events/queue.h"
#include "fsd/request/share.h"

enum {
	WATCH_STATES = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE,
	WATCH_NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	WATCH_BUCKETS = 1024,
	WATCH_PAIR_MS = 10, /* how long the second half of a rename may be late; the kernel makes both halves at once */
};

/* An inode that is watched: inside, or because one beneath it is and would not learn of its own
 * removal. */
struct watch {
	int wd;        /* -1: the host has the file no longer */
	uint32_t mask; /* what is wanted inside; 0: nothing */
	struct inode *inode;
	struct watch *parent;                /* leans on this one, for what happens to its own name */
	struct watch *leaners, *next_leaner; /* that lean on it; on the same one */
	size_t index;
	struct watch *next; /* of its bucket */
};

/* The first half of a rename. */
struct watch_moved {
	uint32_t cookie; /* 0: none */
	uint64_t node, until_ms;
	int directory, wanted;
	char name[SHARE_NAME_MAX + 1];
};

struct echo_change;

struct watch_table {
	struct share *share; /* borrowed */
	int inotify;         /* -1 until there is something to watch */
	char *buffer;
	struct watch *buckets[WATCH_BUCKETS];
	struct watch **items;
	size_t count, room;
	struct watch_moved moved;
	const struct echo_change *own;                 /* what the guest is doing right now */
	void (*happened)(struct event *e, void *data); /* takes the event */
	/* whether an event about the name waits */
	int (*is_pending)(uint64_t node, const char *name, const void *data);
	void *data;
	int said_overflow, said_limit;
};

void watch_table_init(struct watch_table *t, struct share *s, void (*happened)(struct event *e, void *data),
    int (*is_pending)(uint64_t node, const char *name, const void *data), void *data);
/* Watches nothing any more. */
void watch_table_clear(struct watch_table *t);
void watch_table_done(struct watch_table *t);
/* What is wanted of an inode from now on (bits of inotify(7); 0: nothing). A node id that means
 * nothing is ignored, and so is one that the host lets nobody watch. */
void watch_set(struct watch_table *t, uint64_t node, uint32_t mask);
/* Takes in what has happened. */
void watch_read(struct watch_table *t);
/* When the other half of a rename is not waited for any longer, monotonic ms; UINT64_MAX: there is
 * none. */
uint64_t watch_deadline(const struct watch_table *t);
void watch_expire(struct watch_table *t); /* does not wait for it */
/* The watched inode that was last seen under this name; NULL: none. */
struct inode *watch_named(const struct watch_table *t, const struct inode *directory, const char *name);
