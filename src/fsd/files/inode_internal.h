/* SPDX-License-Identifier: Apache-2.0
 * Functions that the files of the inode table share: inode.c (records), inode_cache.c
 * (descriptors), inode_moved.c (directories that the host has renamed), inode_rebuild.c (after the
 * death of a worker). */
#pragma once

#include "fsd/files/inode.h"

enum { INODE_DEPTH_MAX = 4096 };                  /* directories between a file and the nearest open ancestor */
#define INODE_SLOT(nodeid) ((uint32_t)(nodeid)-1) /* node id 0 is none and 1 the root, so node ids count from 1 */

/* inode.c */
void inode_hash_add(struct inode_table *t, struct inode *i);
void inode_free_slot(struct inode_table *t, uint32_t slot);
/* Frees a record that the guest has forgotten, then its parent if it was the last child, and so
 * on. */
void inode_release(struct inode_table *t, struct inode *i);

/* inode_moved.c: searches the parent directory `fd` for a directory that has lost its name there,
 * and records the new name. A descriptor (O_PATH, owned) or -ESTALE. */
int inode_find_moved(struct inode_table *t, int fd, struct inode *i);

/* inode_cache.c */
/* 1 if the guest knows no name of i any more, else 0. */
int inode_is_nameless(const struct inode_table *t, const struct inode *i);
/* Caches the descriptor (taken) of a directory that has a place. */
void inode_cache_fd(struct inode_table *t, struct inode *i, int fd);
/* Closes the record's descriptor, if it has one. */
void inode_drop_fd(struct inode_table *t, struct inode *i);
