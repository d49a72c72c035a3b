/* SPDX-License-Identifier: Apache-2.0
 * The mounts of a container besides its root file system: host paths, volumes, tmpfs.
 *
 * A host path comes from the agent as a detached mount of a share's part, which root in the machine
 * cannot loosen (src/agent/service/binds.c). It and each volume stand at ENGINE_RUN/ID/mounts/N for
 * crun, N being the place in the record's list. */
#pragma once

#include "agent/engine/engine.h"
#include "oci/runtime_spec.h"

/* Makes the record's list of what a create body asks for, and the volumes that it names. The body
 * gets the list, too ("HolmMounts"). 0 or -errno. */
int mounts_choose(struct engine *e, struct json_object *body, struct record *r, struct error **err);

/* Mounts what a start needs, below the mounted root file system, and fills new volumes with what
 * the image has there. Calls ready(code, text, c) once, later or at once. */
void mounts_prepare(struct container *c, image_ready_fn ready);
void mounts_message(struct engine *e, struct json_object *o, int fd); /* of the agent; takes fd */
void mounts_stop(struct container *c);                                /* ready is not called any more */
void mounts_ask_again(struct engine *e);                              /* another agent has to answer */
void mounts_undo(const struct container *c);                          /* in a child: unmounts all of it */

/* Mounts the volumes of a container that does not run below its root, in a mount namespace of the
 * caller's, for the caller to read. What the image has at a new volume's place is not in it yet. 0
 * or -errno. */
int mounts_put_volumes(struct container *c, int root, struct error **err);

/* Adds crun's part for each mount; `texts` owns what they refer to. */
size_t mounts_add(const struct container *c, struct runtime_mount *to, struct strv *texts);
/* Whether one of them takes the place of Docker's own mount at `place`. */
int mounts_replace(const struct container *c, const char *place);
struct json_object *mounts_describe(const struct container *c); /* "Mounts" of inspect and ps; owned */
int mounts_match(const struct container *c, const char *wish);  /* the filter volume=: a name, source or place */
/* Removes the volumes that were made for the container alone. */
void mounts_drop_volumes(const struct container *c);

/* copy.c: copies what is in a directory into another one, which gets its owner and mode, too. 0 or
 * -errno of the first failure. */
int copy_tree(int from, int to);
