/* SPDX-License-Identifier: Apache-2.0
 * Files that are replaced whole: written beside, fsync, rename, fsync of the directory. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

int atomic_file_write(const char *path, mode_t mode, const void *data, size_t size, struct error **err);
/* The same without fsync, for what can be made again: readers find the old file or the new one, and
 * after a crash of the host perhaps a damaged one. */
int atomic_file_write_cache(const char *path, mode_t mode, const void *data, size_t size, struct error **err);

/* The same for a name in a directory, whose descriptor can be synced (no O_PATH); without fsync
 * unless `syncs`. */
int atomic_file_write_at(int directory, const char *name, mode_t mode, const void *data, size_t size, int syncs,
    struct error **err);

/* The same for a directory descriptor and for content that is streamed: open gives an unnamed or
 * temporary file in the directory, commit names it, abort drops it. A crash leaves at most a
 * ".tmp-*" file, which atomic_file_sweep deletes. */
struct atomic_file {
	int fd;        /* write here */
	int directory; /* owned duplicate */
	char *temporary;
};
int atomic_file_open(struct atomic_file *f, int directory, mode_t mode, struct error **err);
/* replaces name; f is done after */
int atomic_file_commit(struct atomic_file *f, const char *name, struct error **err);
void atomic_file_abort(struct atomic_file *f); /* fine after commit and on a zeroed f */
#define AUTO_ATOMIC_FILE CLEANUP(atomic_file_abort)
#define ATOMIC_FILE_NONE ((struct atomic_file){ .fd = -1, .directory = -1 })
/* Deletes temporary files of writers that are gone (they hold a lock on theirs while they live). */
void atomic_file_sweep(int directory);
