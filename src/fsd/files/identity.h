/* SPDX-License-Identifier: Apache-2.0
 * One file of the host: what tells it from others, and how it is opened. */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/macros.h"

/* A file's identity on the host. The birth time tells a new file from a deleted one whose inode
 * number it got; 0 where unknown. */
struct file_id {
	uint64_t dev, ino;
	int64_t birth_ns;
};

enum { TICK_NS = 50 * 1000 * 1000 }; /* longer than the coarsest clock that stamps files ticks */
/* Nanoseconds since 1970. Some file systems keep times that have none: these come out as others,
 * always the same. */
static inline int64_t statx_ns(const struct statx_timestamp *t)
{
	return (int64_t)((uint64_t)t->tv_sec * 1000000000U + t->tv_nsec);
}

/* statx of one name in a directory, never following a symlink. 0 or -errno. */
int inode_statx(int directory, const char *name, struct statx *st);
struct file_id file_id_of(const struct statx *st);
int file_id_same(const struct file_id *a, const struct file_id *b);
/* Opens one name in a directory: never a symlink, nothing outside (openat2). O_CLOEXEC, O_NOFOLLOW
 * are added. fd or -errno. */
int inode_open_name(int directory, const char *name, uint64_t flags, uint32_t mode);
