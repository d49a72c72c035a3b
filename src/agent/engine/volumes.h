/* SPDX-License-Identifier: Apache-2.0
 * Volumes: ENGINE_CONTAINERS/volumes/NAME with volume.json and the directory `data`. The engine
 * keeps no list of them: the folders are it. */
#pragma once

#include "agent/engine/engine.h"

#define VOLUME_ANONYMOUS "com.docker.volume.anonymous" /* a label of those without a name of their own */
#define VOLUME_BUILD_CACHE "org.holm.build.cache"      /* of builds: inspect says when it was used last */
#define VOLUME_OWNER "org.holm.owner"                  /* a label, "UID:GID:MODE": of a new one's directory */

/* Makes the volume unless it is there. labels: borrowed, or NULL. 0 or -errno. */
int volume_make(const struct engine *e, const char *name, struct json_object *labels, struct error **err);
/* The data of a volume, or what a relative path leads to in it without symlinks: a descriptor, or
 * -errno. */
int volume_open(const struct engine *e, const char *name, const char *subpath, int flags);
/* Notes that it is used now: the time of its folder. */
void volume_touch(const struct engine *e, const char *name);
/* As the API has it. Owned; NULL: there is none. */
struct json_object *volume_describe(const struct engine *e, const char *name);
char *volume_place(const char *name); /* the mount point that inspect names; owned */
void volumes_list(const struct engine *e, struct strv *to);
/* The first container but `except` that has it; NULL: none. */
const struct container *volume_user(const struct engine *e, const char *name, const struct container *except);
/* Takes it out of sight; a child removes its files. 0, -ENOENT or -errno. */
int volume_remove(const struct engine *e, const char *name);
uint64_t volume_size(const struct engine *e, const char *name); /* bytes on the disk */
void volumes_sweep(const struct engine *e);                     /* removes the files of those that are gone */

void engine_volumes(struct engine *e, struct http_exchange *x, const char *name);
uint64_t volume_tree_size(int directory); /* of any directory; bytes on the disk */
void engine_volume_create(struct engine *e, struct http_exchange *x, const char *name);
void engine_volume_inspect(struct engine *e, struct http_exchange *x, const char *name);
void engine_volume_remove(struct engine *e, struct http_exchange *x, const char *name);
void engine_volumes_prune(struct engine *e, struct http_exchange *x, const char *name);
