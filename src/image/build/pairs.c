/* SPDX-License-Identifier: Apache-2.0
 * See pairs.h. */
#include "image/build/pairs.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/alloc.h"

enum { ROOM_MIN = 64 };

void pairs_done(struct pairs *p)
{
	strv_done(&p->list);
	free(p->slots);
	*p = (struct pairs){ 0 };
}

/* FNV-1a of 64 bits, from a start that nobody knows: an image could have names that all meet in one
 * place. */
static uint64_t hash(uint64_t seed, const char *name, size_t size)
{
	uint64_t h = seed;
	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

static int has_name(const char *text, const char *name, size_t size)
{
	return strncmp(text, name, size) == 0 && (text[size] == '=' || !text[size]);
}

/* The slot of a name, or the free one where it would be. */
static uint32_t *find(const struct pairs *p, const char *name, size_t size)
{
	size_t at = hash(p->seed, name, size) & (p->room - 1);
	while (p->slots[at] && !has_name(p->list.items[p->slots[at] - 1], name, size))
		at = (at + 1) & (p->room - 1);
	return &p->slots[at];
}

static void note(struct pairs *p, size_t place)
{
	const char *text = p->list.items[place];
	*find(p, text, strcspn(text, "=")) = (uint32_t)place + 1;
}

/* Room for one more, half of it free. */
static void grow(struct pairs *p)
{
	if (2 * (p->list.count + 1) <= p->room)
		return;
	ssize_t n UNUSED = p->room ? 0 : getrandom(&p->seed, sizeof p->seed, 0);
	free(p->slots);
	p->room = p->room ? 2 * p->room : ROOM_MIN;
	p->slots = xcalloc(p->room, sizeof *p->slots);
	for (size_t i = 0; i < p->list.count; i++)
		note(p, i);
}

void pairs_add(struct pairs *p, const char *text)
{
	grow(p);
	strv_add(&p->list, text);
	note(p, p->list.count - 1);
}

void pairs_add_all(struct pairs *p, const struct strv *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		pairs_add(p, texts->items[i]);
}

size_t pairs_set(struct pairs *p, const char *name, const char *value)
{
	AUTOFREE char *text = xasprintf("%s=%s", name, value);
	const uint32_t *slot = p->room ? find(p, name, strlen(name)) : NULL;
	if (!slot || !*slot) {
		pairs_add(p, text);
		return p->list.count - 1;
	}
	size_t place = *slot - 1;
	free(p->list.items[place]);
	p->list.items[place] = TAKE_PTR(text);
	return place;
}

const char *pairs_get(const struct pairs *p, const char *name)
{
	size_t size = strlen(name);
	uint32_t place = p->room ? *find(p, name, size) : 0;
	if (!place || p->list.items[place - 1][size] != '=')
		return NULL;
	return p->list.items[place - 1] + size + 1;
}
