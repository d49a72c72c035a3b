/* SPDX-License-Identifier: Apache-2.0
 * The network of one container: the checks of `create`, and what a start takes and an end gives
 * back. */
#pragma once

#include "agent/engine/engine.h"
#include "agent/engine/network_mode.h"

/* Checks the body of a create request, without the image's part, and writes a container named by
 * "container:" into it by its id. *ret_warning: static, for the answer; or NULL. 0, or -errno and a
 * text. */
int container_network_check(struct engine *e, struct json_object *body, const char **ret_warning, struct error **err);
/* The plan of a container whose body was checked. 0, or -EINVAL and a text: a hostile record. */
int container_network_plan(const struct container *c, struct network_plan *ret, struct error **err);
/* Sets namespaces and address. 0, or -errno and a text; -EBUSY: the other container does not
 * run. */
int container_network_join(struct container *c, struct error **err);
/* Listens again to the lookups of a container that an earlier engine has started. */
void container_network_adopt(struct container *c);
void container_network_leave(struct container *c);

/* As inspect shows it: "bridge", "none", "host" or "container:ID"; borrowed. */
const char *container_network_mode(const struct container *c);
/* The container whose network this one shares; NULL: none, or it is gone. */
const struct container *container_network_peer(const struct container *c);
