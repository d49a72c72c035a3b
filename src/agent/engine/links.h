/* SPDX-License-Identifier: Apache-2.0
 * Links (--link): environment variables on the default bridge, and the removal of one. */
#pragma once

#include "agent/engine/engine.h"

/* Adds the variables of its links that have an address. */
void links_environment(const struct container *c, struct strv *env);
/* DELETE /containers/NAME/ALIAS?link=1, as "docker rm --link NAME/ALIAS" has it. */
void engine_link_remove(struct engine *e, struct http_exchange *x, const char *name);
