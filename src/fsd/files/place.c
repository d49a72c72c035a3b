/* SPDX-License-Identifier: Apache-2.0
 * Places come in four sizes. Each is cut from the end of the used memory, and none is ever merged
 * with another, so the memory can be walked from place to place. Its first word holds the length of
 * the used part. */
#include "fsd/files/place.h"

#include <errno.h>
#include <string.h>

#include "fsd/files/shared.h"

enum { UNIT = 16 };
static const size_t sizes[PLACE_CLASSES] = { 32, 64, 128, 288 };
_Static_assert(sizeof(struct place) == UNIT && UNIT + PLACE_NAME_MAX + 1 <= 288, "every name has a class");

static uint64_t *end_of(const struct place_store *s)
{
	return (uint64_t *)(void *)s->memory;
}

int place_store_init(struct place_store *s, size_t size)
{
	*s = (struct place_store){ .memory = shared_new(size), .size = size };
	if (!s->memory)
		return -ENOMEM;
	*end_of(s) = UNIT;
	return 0;
}

void place_store_done(struct place_store *s)
{
	shared_free(s->memory, s->size);
	*s = (struct place_store){ 0 };
}

static struct place *take(struct place_store *s, unsigned class)
{
	struct place *p = s->unused[class];
	if (p) {
		s->unused[class] = p->next;
		return p;
	}
	uint64_t end = *end_of(s);
	if (sizes[class] > s->size - end)
		return NULL;
	p = (struct place *)(void *)(s->memory + end);
	p->class = (uint16_t) class;
	p->owner = UINT32_MAX;
	SHARED_SET(*end_of(s), end + sizes[class]);
	return p;
}

struct place *place_new(struct place_store *s, uint32_t owner, uint64_t parent, const char *name)
{
	size_t length = strlen(name);
	unsigned class = 0;
	if (length > PLACE_NAME_MAX)
		return NULL;
	while (sizes[class] < sizeof(struct place) + length + 1)
		class ++;
	struct place *p = take(s, class);
	if (!p)
		return NULL;
	p->owner = owner;
	p->parent = parent;
	p->length = (uint16_t)length;
	memcpy(p->name, name, length + 1);
	return p;
}

static void give(struct place_store *s, struct place *p)
{
	p->next = s->unused[p->class];
	s->unused[p->class] = p;
}

void place_free(struct place_store *s, struct place *p)
{
	if (p)
		give(s, p);
}

void place_store_reset(struct place_store *s)
{
	memset(s->unused, 0, sizeof s->unused);
	SHARED_SET(*end_of(s), (uint64_t)UNIT);
	shared_forget(s->memory + UNIT, s->size - UNIT);
}

int place_is_valid(const struct place_store *s, const struct place *p)
{
	uintptr_t offset = (uintptr_t)p - (uintptr_t)s->memory;
	if (offset % UNIT || offset < UNIT || offset >= *end_of(s) || p->class >= PLACE_CLASSES ||
	    sizes[p->class] > *end_of(s) - offset)
		return 0;
	return p->length < sizes[p->class] - sizeof *p && strnlen(p->name, p->length + 1U) == p->length;
}

void place_store_rebuild(struct place_store *s, int (*is_used)(const struct place *p, void *data), void *data)
{
	memset(s->unused, 0, sizeof s->unused);
	if (*end_of(s) > s->size || *end_of(s) < UNIT)
		*end_of(s) = s->size; /* the length is corrupt: make no more places */
	for (uint64_t at = UNIT; at < *end_of(s);) {
		struct place *p = (struct place *)(void *)(s->memory + at);
		if (p->class >= PLACE_CLASSES || sizes[p->class] > *end_of(s) - at)
			return;
		at += sizes[p->class];
		if (!is_used(p, data))
			give(s, p);
	}
}
