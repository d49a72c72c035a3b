/* SPDX-License-Identifier: Apache-2.0
 * Health checks, as Config.Healthcheck has them. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

struct docker_health {
	struct strv command; /* empty: no check */
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
	int retries;
};

/* Reads {"Test":["CMD-SHELL","text"],"Interval":ns,...}; o NULL: no check. What it does not say is
 * Docker's default. 0, or -EINVAL and a text. */
int docker_health_parse(struct json_object *o, struct docker_health *ret, struct error **err);
