/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the inode table: inode.c (records), inode_cache.c (descriptors),
 * inode_moved.c (directories that the host has renamed), inode_rebuild.c (after a process that
 * died). */
#pragma once

#include "fsd/files/inode.h"

enum { INODE_DEPTH_MAX = 4096 };                  /* directories between a file and the nearest open ancestor */
#define INODE_SLOT(nodeid) ((uint32_t)(nodeid)-1) /* node id 0 is nobody and 1 the root, so slots are counted from 1 */

/* inode.c */
void inode_hash_add(struct inode_table *t, struct inode *i);
void inode_free_slot(struct inode_table *t, uint32_t slot);
/* Frees a record that nobody needs, and then its parent if that was only kept for it. */
void inode_release(struct inode_table *t, struct inode *i);

/* inode_moved.c: Looks in the directory `fd`, the parent's, for a directory that is no longer there
 * under its name, and notes the new one. A descriptor (O_PATH) or -ESTALE. */
int inode_find_moved(struct inode_table *t, int fd, struct inode *i);

/* inode_cache.c */
int inode_is_nameless(const struct inode_table *t, const struct inode *i);
/* Gives a directory that has a place the descriptor (taken) that is kept of it. */
void inode_cache_fd(struct inode_table *t, struct inode *i, int fd);
/* Lets go of the record's descriptor, whichever kind it is. */
void inode_drop_fd(struct inode_table *t, struct inode *i);
