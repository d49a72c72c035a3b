/* SPDX-License-Identifier: Apache-2.0
 * Descriptions of a machine, for `ls` and `inspect`. */
#pragma once

#include "base/json.h"
#include "machine/machine.h"

/* A row of `ls --format json`. deadline_ms: how long its keeper may take to answer. default_name
 * may be NULL. */
struct json_object *describe_short(const char *name, const char *default_name, uint64_t deadline_ms);
/* The object of `inspect`: every setting as it holds (defaults filled in), and what the keeper
 * says. */
struct json_object *describe_whole(const struct machine *m, const char *default_name, uint64_t deadline_ms);
