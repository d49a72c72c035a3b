/* SPDX-License-Identifier: Apache-2.0
 * Places: the directory and the name under which the guest saw a file last, in memory that outlives
 * a worker. One store of a pointer gives a record another place, so a worker that dies leaves
 * either the old place or the new one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PLACE_CLASSES = 4, PLACE_NAME_MAX = 255 };

struct place {
	uint32_t owner; /* slot of the record that has this place */
	uint16_t class; /* below PLACE_CLASSES; gives the size */
	uint16_t length;
	union {
		uint64_t parent;    /* node id of the directory */
		struct place *next; /* in a list of unused places */
	};
	char name[]; /* with its NUL */
};

struct place_store {
	char *memory;
	size_t size;
	struct place *unused[PLACE_CLASSES]; /* lists by class; this process alone has them */
};

/* size: bytes of address space. 0 or -ENOMEM. */
int place_store_init(struct place_store *s, size_t size);
void place_store_done(struct place_store *s);
/* Makes a place for the record at slot `owner`. NULL when there is no room or the name is too
 * long. */
struct place *place_new(struct place_store *s, uint32_t owner, uint64_t parent, const char *name);
void place_free(struct place_store *s, struct place *p); /* NULL is fine */
/* Frees all places. */
void place_store_reset(struct place_store *s);
/* 1 if p can be a place of this store, else 0. For pointers that a dead worker left. */
int place_is_valid(const struct place_store *s, const struct place *p);
/* Rebuilds the lists of unused places: all for which is_used() is false. */
void place_store_rebuild(struct place_store *s, int (*is_used)(const struct place *p, void *data), void *data);
