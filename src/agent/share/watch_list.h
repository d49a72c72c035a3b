/* SPDX-License-Identifier: Apache-2.0
 * Lists of watched inodes of FUSE file systems, and where they come from: /proc/PID/fdinfo of
 * inotify descriptors (proc(5)). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct watch {
	uint64_t node;   /* FUSE node id */
	uint32_t device; /* of the file system: major << 20 | minor */
	uint32_t mask;   /* of inotify(7), within IN_ALL_EVENTS */
};

struct watch_list {
	struct watch *items;
	size_t count, capacity;
};

void watch_list_done(struct watch_list *l); /* as new after */
#define AUTO_WATCH_LIST CLEANUP(watch_list_done)
/* 0, or -E2BIG when there are `max` already. */
int watch_list_add(struct watch_list *l, const struct watch *w, size_t max);
/* In the order of device and node, one for each: their masks together. */
void watch_list_settle(struct watch_list *l);
int watch_list_equal(const struct watch_list *a, const struct watch_list *b);
/* Both settled: calls fn for each that is new or has another mask in `to`, and with mask 0 for each
 * that is in `from` alone. */
void watch_list_compare(const struct watch_list *from, const struct watch_list *to,
    void (*fn)(const struct watch *w, void *data), void *data);

/* One line of fdinfo, without its end: 1 and *ret when it is a watch with events in a FUSE file
 * system, else 0. */
int watch_parse_line(const char *line, size_t size, struct watch *ret);
/* Everything in the text of a descriptor, read piece by piece: zeroed to begin, then each piece. A
 * line too long to be a watch is passed over. */
struct watch_reader {
	char line[512];
	size_t size;
	int overlong;
};
/* 0 or -E2BIG */
int watch_read(struct watch_reader *reader, const char *data, size_t size, struct watch_list *into, size_t max);
