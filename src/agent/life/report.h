/* SPDX-License-Identifier: Apache-2.0
 * Reports of the machine's life to the keeper. */
#pragma once

#include "agent/core/agent.h"

/* {"key":"value"} to the keeper, where it listens */
void boot_line(struct agent *a, const char *key, const char *value);
void boot_mark_ready(struct agent *a, int init); /* 0: sessions may start; 1: the init has finished booting */
/* ends the answer; log: taken, may be NULL */
void boot_fail(struct agent *a, int code, const char *text, struct json_object *log);
void boot_ended(struct agent *a, const char *how, int status); /* last line of the answer */
