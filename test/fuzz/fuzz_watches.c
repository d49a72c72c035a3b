/* SPDX-License-Identifier: Apache-2.0
 * fdinfo of inotify, in pieces as the input says; then the same bytes as a ring of the kernel's. */
#include <assert.h>
#include <stdint.h>

#include "agent/share/watch_list.h"
#include "agent/share/watch_probe.h"

enum { WATCHES_MAX = 16, RING = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(pid_t pid, void *data)
{
	++*(size_t *)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_WATCH_LIST struct watch_list l = { 0 };
	struct watch_reader reader = { .size = 0 };
	for (size_t at = 0; at < size;) {
		size_t piece = MIN(1 + (size_t)data[at] * 4, size - at);
		if (watch_read(&reader, (const char *)data + at, piece, &l, WATCHES_MAX) < 0)
			break;
		at += piece;
	}
	assert(l.count <= WATCHES_MAX);
	watch_list_settle(&l);
	for (size_t i = 0; i < l.count; i++)
		assert(l.items[i].mask &&
		       (i == 0 || l.items[i - 1].device < l.items[i].device || l.items[i - 1].node < l.items[i].node));
	/* The first two bytes are the positions. */
	if (size < 2)
		return 0;
	uint64_t ring[RING / 8] = { 0 };
	size_t records = 0;
	memcpy(ring, data + 2, MIN(size - 2, sizeof ring));
	watch_ring_read(ring, sizeof ring, (uint64_t)data[0] * 8, (uint64_t)data[0] * 8 + data[1] * UINT64_C(2), count,
	    &records);
	assert(records <= RING / 16);
	return 0;
}
