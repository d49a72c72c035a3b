/* SPDX-License-Identifier: Apache-2.0
 * What clones and the machines that they were made of share, be it disks or folders. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* How the tests of one form make machines, and look at them. */
struct clones {
	int (*create)(const char *name);
	int (*clone)(const char *from, const char *to);
	void (*write_something)(const char *name); /* as if it had run */
	void (*delete)(const char *name);
	int (*bases_of)(const char *name); /* how many a machine stands on */
	int (*base_count)(void);           /* how many there are */
};

/* Begins and ends without any base. */
static inline void clones_share_bases(const struct clones *c)
{
	assert_int_equal(c->create("source"), 0);
	c->write_something("source");
	assert_int_equal(c->clone("source", "copy"), 0);
	assert_int_equal(c->bases_of("source"), 1);
	assert_int_equal(c->bases_of("copy"), 1);
	assert_int_equal(c->base_count(), 1);
	/* Nothing written since: the same base serves again, however often. */
	assert_int_equal(c->clone("source", "copy2"), 0);
	assert_int_equal(c->bases_of("source"), 1);
	assert_int_equal(c->base_count(), 1);
	/* A clone of a clone that has written. */
	c->write_something("copy");
	assert_int_equal(c->clone("copy", "copy3"), 0);
	assert_int_equal(c->bases_of("copy3"), 2);
	assert_int_equal(c->base_count(), 2);
	/* Bases go with the last machine that stands on them. */
	c->delete ("copy");
	assert_int_equal(c->base_count(), 2);
	c->delete ("copy3");
	assert_int_equal(c->base_count(), 1);
	c->delete ("source");
	assert_int_equal(c->base_count(), 1);
	assert_int_equal(c->bases_of("copy2"), 1);
	c->delete ("copy2");
	assert_int_equal(c->base_count(), 0);
}

/* A machine that is cloned each time it has written stands on so many bases at last. */
static inline void clones_end(const struct clones *c, int most)
{
	char name[32];
	int r = 0;
	assert_int_equal(c->create("m"), 0);
	for (int i = 0; i <= most && r == 0; i++) {
		c->write_something("m");
		snprintf(name, sizeof name, "c%d", i);
		r = c->clone("m", name);
	}
	assert_int_equal(r, -EMLINK);
	assert_int_equal(c->bases_of("m"), most);
}
