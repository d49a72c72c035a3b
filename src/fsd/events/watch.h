/* SPDX-License-Identifier: Apache-2.0
 * Watches: the host's changes to the files that programs inside watch, from inotify(7). The table
 * belongs to one worker; the next worker starts with an empty one. */
#pragma once

#include <sys/inotify.h>

#include "fsd/events/queue.h"
#include "fsd/request/share.h"

enum {
	WATCH_STATES = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE,
	WATCH_NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	WATCH_BUCKETS = 1024,
	WATCH_PAIR_MS = 10, /* longest delay of the second half of a rename; the kernel queues both halves together */
};

/* A watched inode: a program inside watches it, or an inode in it, whose removal only the directory
 * reports. */
struct watch {
	int wd;        /* -1: the host has deleted the file */
	uint32_t mask; /* events that the guest wants; 0: none */
	struct inode *inode;
	struct watch *parent;                      /* the directory's watch, which reports changes of this name */
	struct watch *dependants, *next_dependant; /* watches that have this parent; the same parent */
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
	int inotify;         /* -1 until the first watch */
	char *buffer;
	struct watch *buckets[WATCH_BUCKETS];
	struct watch **items;
	size_t count, room;
	struct watch_moved moved;
	const struct echo_change *own;                 /* the request that the guest waits for now */
	void (*happened)(struct event *e, void *data); /* takes the event */
	/* 1 if an event about the name waits, else 0 */
	int (*is_pending)(uint64_t node, const char *name, const void *data);
	void *data;
	int said_overflow, said_limit;
};

void watch_table_init(struct watch_table *t, struct share *s, void (*happened)(struct event *e, void *data),
    int (*is_pending)(uint64_t node, const char *name, const void *data), void *data);
/* Ends all watches. */
void watch_table_clear(struct watch_table *t);
/* Ends all watches and frees the table's memory. */
void watch_table_done(struct watch_table *t);
/* Sets the events that the guest wants of an inode (bits of inotify(7); 0: none). An unknown node
 * id is ignored, and so is an inode that the host refuses to watch. */
void watch_set(struct watch_table *t, uint64_t node, uint32_t mask);
/* Reads the inotify queue and turns it into events. */
void watch_read(struct watch_table *t);
/* The end of the wait for the second half of a rename, monotonic ms; UINT64_MAX: no rename
 * waits. */
uint64_t watch_deadline(const struct watch_table *t);
/* Ends that wait: the first half becomes a removal. */
void watch_expire(struct watch_table *t);
/* The watched inode that the guest last saw under this name; NULL: none. */
struct inode *watch_named(const struct watch_table *t, const struct inode *directory, const char *name);
