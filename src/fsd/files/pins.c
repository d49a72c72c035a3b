/* SPDX-License-Identifier: Apache-2.0
 * A ring of descriptors, ordered by age. All are held equally long, so the oldest expires first. */
#include "fsd/files/pins.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"

void pins_want(struct pins *p, uint32_t pid)
{
	p->wanted_until_ms = clock_now_ms() + PINS_MS;
	p->told[p->next_told].pid = pid;
	p->told[p->next_told].until_ms = p->wanted_until_ms;
	p->next_told = (p->next_told + 1) % PINS_PROCESSES;
}

int pins_got_stale(const struct pins *p, uint32_t pid)
{
	uint64_t now = pins_are_wanted(p) ? clock_now_ms() : UINT64_MAX;
	for (unsigned n = 0; n < PINS_PROCESSES; n++)
		if (p->told[n].pid == pid && now < p->told[n].until_ms)
			return 1;
	return 0;
}

int pins_are_wanted(const struct pins *p)
{
	return p->wanted_until_ms && clock_now_ms() < p->wanted_until_ms;
}

static void drop(struct pins *p, unsigned index)
{
	if (!p->items[index].nodeid)
		return;
	p->items[index].nodeid = 0;
	p->count--;
	fd_close(p->items[index].fd);
}

void pins_add(struct pins *p, uint64_t nodeid, int fd)
{
	drop(p, p->next);
	p->items[p->next].nodeid = nodeid;
	p->items[p->next].fd = fd;
	p->items[p->next].until_ms = clock_now_ms() + PINS_MS;
	p->next = (p->next + 1) % PINS_MAX;
	p->count++;
}

int pins_find(const struct pins *p, uint64_t nodeid)
{
	for (unsigned n = 0; p->count && n < PINS_MAX; n++)
		if (p->items[n].nodeid == nodeid)
			return p->items[n].fd;
	return -ESTALE;
}

uint64_t pins_trim(struct pins *p)
{
	uint64_t now = p->count ? clock_now_ms() : 0, first = 0;
	for (unsigned n = 0; p->count && n < PINS_MAX; n++) {
		if (p->items[n].nodeid && p->items[n].until_ms <= now)
			drop(p, n);
		else if (p->items[n].nodeid && (!first || p->items[n].until_ms < first))
			first = p->items[n].until_ms;
	}
	return first;
}

void pins_clear(struct pins *p)
{
	for (unsigned n = 0; n < PINS_MAX; n++)
		drop(p, n);
}
