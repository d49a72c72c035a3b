/* SPDX-License-Identifier: Apache-2.0
 * Pins: files that are held open for a moment, while the host keeps replacing the files behind the
 * guest's names.
 *
 * Problem. A record holds no descriptor (inode.c). If the host gives a name to another file between
 * the guest's LOOKUP and its OPEN, the answer is ESTALE. Linux looks the path up once more, and
 * reports a second ESTALE to the program, which does not expect it from open(2).
 *
 * Idea. For PINS_MS after each ESTALE, a descriptor (O_PATH) pins each file that is looked up, the
 * last PINS_MAX of them. A pinned file can be used under any name. The validity of such a name is
 * 0, so only the process that has just looked it up uses it. */
#pragma once

#include <stdint.h>

enum { PINS_MAX = 32, PINS_MS = 2000, PINS_PROCESSES = 16 };

struct pins {
	struct {
		uint64_t nodeid; /* 0: unused */
		uint64_t until_ms;
		int fd;
	} items[PINS_MAX];
	unsigned next, count;
	uint64_t wanted_until_ms;
	struct {
		uint32_t pid;
		uint64_t until_ms;
	} told[PINS_PROCESSES]; /* the last processes that got ESTALE */
	unsigned next_told;
};

/* Notes that a process inside got ESTALE. */
void pins_want(struct pins *p, uint32_t pid);
/* 1 if the process got ESTALE within PINS_MS, so that it may be looking up again now; else 0. */
int pins_got_stale(const struct pins *p, uint32_t pid);
/* 1 if any process did, else 0. */
int pins_are_wanted(const struct pins *p);
/* Holds fd (taken) for PINS_MS. */
void pins_add(struct pins *p, uint64_t nodeid, int fd);
/* The file's descriptor, borrowed until a pin is added, trimmed or cleared; or -ESTALE. */
int pins_find(const struct pins *p, uint64_t nodeid);
/* Closes the pins that have expired. The time at which the next expires (clock_now_ms()), 0 when
 * there is none. */
uint64_t pins_trim(struct pins *p);
/* Closes all pins. */
void pins_clear(struct pins *p);
