/* SPDX-License-Identifier: Apache-2.0
 * Files that are held open for a moment, for a guest whose names the host gives to other files all
 * the time.
 *
 * A record holds no descriptor (inode.c): when its name goes to another file before the guest has
 * used what it looked up, the answer is ESTALE. Linux looks up once more then, and reports a second
 * ESTALE to the program, which expects no such thing of open(2). So for two seconds after each
 * ESTALE the files that are looked up are held by a descriptor (O_PATH), the latest ones, and can
 * be used whatever becomes of their names. The guest is not to believe such a name (its validity is
 * 0), so it is used only by who has just looked it up. */
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
	} told[PINS_PROCESSES]; /* the last ones that were answered with ESTALE */
	unsigned next_told;
};

/* This process inside was answered with ESTALE. */
void pins_want(struct pins *p, uint32_t pid);
/* Whether it was, not long ago, so that it may be looking once more just now. */
int pins_have_told(const struct pins *p, uint32_t pid);
int pins_are_wanted(const struct pins *p);
/* Holds fd (taken) for PINS_MS; node ids are never used for another file. */
void pins_add(struct pins *p, uint64_t nodeid, int fd);
/* The file's descriptor, borrowed until the next call of the others here; or -ESTALE. */
int pins_find(const struct pins *p, uint64_t nodeid);
/* Closes what has been held long enough. Returns when to come again (clock_now_ms), 0 when nothing
 * is held. */
uint64_t pins_trim(struct pins *p);
void pins_clear(struct pins *p);
