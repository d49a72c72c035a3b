/* SPDX-License-Identifier: Apache-2.0
 * The networks of a new container: --network and what belongs to it. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/options.h"

/* Adds NetworkMode to `host` and NetworkingConfig to `config`; without any of the options nothing.
 * --network: a name, or name=NAME,alias=NAME,ip=ADDRESS,mac-address=MAC,gw-priority=N and
 * driver-opt=KEY=VALUE. 0 or -EINVAL. */
int networks_add(const struct options *o, struct json_object *config, struct json_object *host, struct error **err);
