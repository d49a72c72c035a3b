/* SPDX-License-Identifier: Apache-2.0
 * GET /events: what happened, under Docker's names and in order. The last EVENTS_KEPT are kept for
 * `since`. The keeper adds the events of images by POST /holm/event (src/keeper/docker),
 * which no client reaches. */
#pragma once

#include "agent/engine/engine.h"

/* type: "container", "network", "volume", "image" or "builder"; id: Actor.ID; attributes: taken, or
 * NULL. */
void event_emit(struct engine *e, const char *type, const char *action, const char *id, struct json_object *attributes);
/* With the container's labels, its image and name, and one more attribute (key NULL: none). */
void event_container(const struct container *c, const char *action, const char *key, const char *value);
void event_container_number(const struct container *c, const char *action, const char *key, int64_t value);
void event_container_more(const struct container *c, const char *action, struct json_object *more); /* taken */

/* "prune" of things of a type, with the bytes that it has freed. */
void event_prune(struct engine *e, const char *type, uint64_t reclaimed);

void engine_events(struct engine *e, struct http_exchange *x, const char *name);
void engine_take_event(struct engine *e, struct http_exchange *x, const char *name);
