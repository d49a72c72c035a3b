/* SPDX-License-Identifier: Apache-2.0
 * The owners of containers' files in archives of machines. What such a file belongs to on a
 * machine's disk depends on the isolation and on the user; an archive has one number for an id of a
 * container, whoever made it: STORAGE_IDS_FIRST and the id. Files of nobody in a container, such as
 * the engine's own, keep their owner, as do those of containers with the machine's ids
 * (--userns) whose owner is not root. */
#pragma once

#include "idmap/idmap.h"

/* The folder of containers' files in a machine's tree, in archives and on the disk of a VM. */
#define STORAGE_FOLDER "var/lib/holm/storage"
/* The first of the ids that containers have in a VM, too (systemd's UIDS-GIDS: free from here). */
#define STORAGE_IDS_FIRST UINT32_C(1879048192)

/* ID/.upper in it: files with the machine's own ids; an archive has root for STORAGE_IDS_FIRST. No
 * volume has a name with a dot in front. */
#define STORAGE_OWN_UPPER ".upper"

enum { STORAGE_IDS = 65536 };

/* The mapping of containers in a VM, for the machine's user `uid`, `gid` (0: root). Root in a
 * container is that user, all others are STORAGE_IDS_FIRST and up. The results are the VM's ids. */
void storage_ids_of_vm(uint32_t uid, uint32_t gid, struct idmap *ret);
/* The mapping of those with the machine's ids (--userns): each id is the same, but root is
 * STORAGE_IDS_FIRST. The VM's root may write to its kernel without any capability. */
void storage_own_ids_of_vm(struct idmap *ret);
/* The owner of a file with this path in the machine's tree: from what it is on the machine's disk
 * to what it is in an archive, and back. Files outside of STORAGE_FOLDER keep theirs. map: the
 * mapping of containers on the disk (struct idmap). */
void storage_ids_to_archive(void *map, const char *path, uint32_t *uid, uint32_t *gid);
void storage_ids_from_archive(void *map, const char *path, uint32_t *uid, uint32_t *gid);
