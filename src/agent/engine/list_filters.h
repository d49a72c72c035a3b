/* SPDX-License-Identifier: Apache-2.0
 * The filters of GET /containers/json. */
#pragma once

#include "agent/engine/engine.h"

/* Reads the parameter `filters`: 0 and *ret (NULL: none), or -errno and a text. */
int container_filters_read(struct engine *e, struct http_exchange *x, struct json_object **ret, struct error **err);
/* Whether they ask for containers that do not run, too. */
int container_filters_want_all(struct json_object *filters);
int container_passes(const struct container *c, struct json_object *filters);
