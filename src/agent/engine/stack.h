/* SPDX-License-Identifier: Apache-2.0
 * Containers that stand on another one's files, for builds.
 *
 * "HolmOn":"ID" of a create: the container has the image of that one, and what that one has changed
 * in it. The upper directory of the one below is a lower directory of the one above. The one below
 * must have ended, and is not to start again; where it is gone, those above do not start. A prune
 * leaves containers alone that a client holds (waiters_hold), so it stays as long as the build.
 *
 * "HolmHeld":true: the container goes with its client, so its files are never synced. If no client
 * holds it within a minute, or after the engine was started again, it is removed. */
#pragma once

#include "agent/engine/engine.h"
#include "base/buffer.h"

/* Gives the body of a held container limits of memory, seven eighths of what there is, and of
 * processes, if it has none. Without cgroups that can limit them, that of memory is left out, and
 * that of processes is a resource limit. */
void stack_limit(const struct engine *e, struct json_object *body);
/* Reads and checks both members of a create body. 0; -ENOENT, -EBUSY, -EINVAL, -E2BIG. */
int stack_read(struct engine *e, struct json_object *body, struct record *r, struct error **err);
/* The one below; NULL: none, or it is gone. */
struct container *stack_below(const struct container *c);
/* Appends the upper directories below, topmost first, a colon behind each. 0; -ENOENT: one is gone;
 * -ENOBUFS. */
int stack_append(const struct container *c, struct buffer *b);
/* Whether the one below is still being cleaned up: the start goes on with stack_cleaned(). */
int stack_must_wait(const struct container *c);
/* A container has been cleaned up, or is gone: starts go on that wait for it. */
void stack_cleaned(struct engine *e, const char *id);
/* Whether a container that runs or starts stands on it, or on one that does: its files have to
 * stay. */
int stack_is_used(const struct container *c);
/* Whether neither the container nor one that stands on it runs, starts or is cleaned up. */
int stack_is_at_rest(const struct container *c);
/* Has a container with "HolmHeld" removed if no client holds it within a minute: its client died
 * before it could. */
void stack_expect_holder(struct container *c);
/* Whether a client holds the container. */
int stack_is_held(const struct container *c);
