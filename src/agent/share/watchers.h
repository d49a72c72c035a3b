/* SPDX-License-Identifier: Apache-2.0
 * Watchers: the inodes of shares that processes inside watch, found without polling. */
#pragma once

#include "agent/share/watch_list.h"
#include "base/loop.h"

struct watchers;

/* `changed` is called from the loop when what is watched may have changed. 0 or -errno. */
int watchers_new(struct loop *l, void (*changed)(void *data), void *data, struct watchers **ret);
void watchers_free(struct watchers *w); /* NULL is fine */
/* File systems (major << 20 | minor) whose watches count, and no others. */
void watchers_add_device(struct watchers *w, uint32_t device);
void watchers_remove_device(struct watchers *w, uint32_t device);
/* Adds the settled watches of one share to *into, which is empty; at most SHARE_WATCHES_MAX. */
void watchers_collect(const struct watchers *w, uint32_t device, struct watch_list *into);

/* The watches of a process (its folder of /proc) on these devices, settled; added to *into, which
 * is empty. 0, or -errno: there is no such process. */
int watchers_look(const char *process, const uint32_t *devices, size_t device_count, struct watch_list *into);
