/* SPDX-License-Identifier: Apache-2.0
 * A file of the host: its identity, and how to open it. */
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

enum { TICK_NS = 50 * 1000 * 1000 }; /* longer than a tick of the coarsest clock that stamps files */
/* Nanoseconds since 1970. A time outside of that range wraps around, always to the same value. */
static inline int64_t statx_ns(const struct statx_timestamp *t)
{
	return (int64_t)((uint64_t)t->tv_sec * 1000000000U + t->tv_nsec);
}

/* statx of one name in a directory, never following a symlink. 0 or -errno. */
int inode_statx(int directory, const char *name, struct statx *st);
/* The identity in st, which needs STATX_BTIME to be exact. */
struct file_id file_id_of(const struct statx *st);
/* 1 if both are the same file, else 0. An unknown birth time equals every other. */
int file_id_same(const struct file_id *a, const struct file_id *b);
/* Opens one name in a directory: never a symlink, nothing outside (openat2). O_CLOEXEC, O_NOFOLLOW
 * are added. fd or -errno. */
int inode_open_name(int directory, const char *name, uint64_t flags, uint32_t mode);
