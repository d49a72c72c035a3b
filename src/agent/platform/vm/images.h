/* SPDX-License-Identifier: Apache-2.0
 * Images and ids of the containers in a VM. */
#pragma once

#include "agent/core/boot_request.h"
#include "idmap/idmap.h"

/* The folder on the machine's disk with the containers' files, detached; made where there is none.
 * A descriptor or -errno. */
int vm_open_containers(const struct boot_request *b, struct error **err);
/* Mounts the disks of images, each named "CHANNEL:TARGET:LUN", with the owners of this user's
 * containers; a detached mount for each. 0 or -errno. */
int vm_take_layers(int machine, const struct boot_user *u, const struct strv *names, int *ret_fds, struct error **err);
void vm_container_ids(const struct boot_user *u, struct idmap *ret);
