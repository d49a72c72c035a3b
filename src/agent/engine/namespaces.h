/* SPDX-License-Identifier: Apache-2.0
 * The namespaces that a container shares with another one (--ipc, --pid), and the ids of --userns.
 *
 * Who joins a container's IPC or PID namespace joins its user namespace, too: the kernel lets
 * nobody else mount what shows them. So all containers that one names have to share theirs. */
#pragma once

#include "agent/engine/engine.h"

/* Checks the body of a create request, without the image's part. It writes the containers that are
 * named into it by their ids, and the user of --userns keep-id. 0, or -errno and a text. */
int container_shares_check(struct engine *e, struct json_object *body, struct error **err);

/* Opens the namespaces of the other containers: before the container's network is made. 0, or
 * -errno and a text; -EBUSY: one does not run. */
int container_shares_join(struct container *c, struct error **err);
void container_shares_leave(struct container *c);
/* Takes a user namespace (owned) for the container. 0; -EINVAL and a text: it has another one. */
int container_take_user(struct container *c, int user, struct error **err);

/* The mapping of its user namespace, in the machine's ids; borrowed. */
const struct idmap *container_ids(const struct container *c);
/* Makes the file system for /dev/shm that others may join (--ipc shareable). 0, or -errno and a
 * text. */
int container_shm_make(const struct container *c, struct error **err);
/* The path of that file system for this container, owned: its own, or another one's. NULL: it has
 * a plain /dev/shm. */
char *container_shm_path(const struct container *c);
void container_shm_remove(const char *run); /* run: the folder ENGINE_RUN/ID */
