/* SPDX-License-Identifier: Apache-2.0
 * Where the guest saw a file last: a directory and a name, in memory that outlives a worker. A
 * record changes its place by one store of a pointer, so a worker that dies leaves the old place or
 * the new one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PLACE_CLASSES = 4, PLACE_NAME_MAX = 255 };

struct place {
	uint32_t owner; /* slot of the record that it was made for */
	uint16_t class; /* of PLACE_CLASSES, which says how large it is */
	uint16_t length;
	union {
		uint64_t parent;    /* node id of the directory */
		struct place *next; /* of the unused ones */
	};
	char name[]; /* with its NUL */
};

struct place_store {
	char *memory;
	size_t size;
	struct place *unused[PLACE_CLASSES]; /* lists; this process's own knowledge */
};

/* 0 or -ENOMEM. */
int place_store_init(struct place_store *s, size_t size);
void place_store_done(struct place_store *s);
/* A place for the record at slot `owner`; NULL when there is no room or the name is too long. */
struct place *place_new(struct place_store *s, uint32_t owner, uint64_t parent, const char *name);
void place_free(struct place_store *s, struct place *p); /* NULL is fine */
/* All places are given up. */
void place_store_reset(struct place_store *s);
/* Whether p can be a place of this store: for pointers that a dead worker left. */
int place_is_valid(const struct place_store *s, const struct place *p);
/* Finds out anew what is unused: every place for which is_used() is false. */
void place_store_rebuild(struct place_store *s, int (*is_used)(const struct place *p, void *data), void *data);
