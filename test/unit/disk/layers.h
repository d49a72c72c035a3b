/* SPDX-License-Identifier: Apache-2.0
 * Layers made in memory by libarchive (pax), and disks looked into by libext2fs, for the tests of
 * the disk writer. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <ext2fs/ext2fs.h>
#include <stdint.h>

#include "base/error.h"

enum { LAYER_MAX = 32 << 20 };

struct test_layer {
	char *data;
	size_t size;
	struct archive *archive;
};

void layer_start(struct test_layer *l);
/* Starts an entry of defaults: type AE_IFREG and so on, mode 0644 or 0755, owner 0, time
 * 1000000000. */
struct archive_entry *layer_entry(unsigned type, const char *path);
void layer_add(struct test_layer *l, struct archive_entry *e, const void *data, size_t size); /* frees e */
/* The common kinds in one call. */
void layer_file(struct test_layer *l, const char *path, const char *content);
void layer_directory(struct test_layer *l, const char *path);
void layer_symlink(struct test_layer *l, const char *path, const char *target);
void layer_link(struct test_layer *l, const char *path, const char *target);
void layer_end(struct test_layer *l);
void layer_done(struct test_layer *l);

/* Writes the layers (ended here) to a new disk at path: disk_write's result; layers are freed. */
int write_disk(const char *path, struct test_layer *layers, size_t count, struct error **err);
/* e2fsck -fn says that all is well (or it is not installed). */
void assert_fsck(const char *path);

ext2_filsys disk_open(const char *path);
/* The inode of a path, 0 when there is none; symlinks are not followed. */
ext2_ino_t disk_inode(ext2_filsys fs, const char *path, struct ext2_inode_large *ret);
/* Content, owned, NUL-terminated. */
char *disk_content(ext2_filsys fs, const char *path, size_t *ret_size);
