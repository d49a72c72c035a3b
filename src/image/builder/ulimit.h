/* SPDX-License-Identifier: Apache-2.0
 * --ulimit of a build: "NAME=SOFT[:HARD]". */
#pragma once

#include "base/json.h"
#include "base/strv.h"

/* HostConfig.Ulimits of such texts; owned. 0 or -EINVAL. */
int build_ulimits_parse(const struct strv *texts, struct json_object **ret, struct error **err);
