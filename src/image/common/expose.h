/* SPDX-License-Identifier: Apache-2.0
 * A word of EXPOSE: PORT[-PORT][/tcp|udp|sctp]. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* Adds the ports of a word to ExposedPorts of an image's configuration. 0 or -EINVAL; the error
 * begins with `what`. */
int expose_add(struct json_object *ports, const char *what, const char *word, struct error **err);
