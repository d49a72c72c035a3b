/* SPDX-License-Identifier: Apache-2.0
 * Reports of the machine's life to the keeper. */
#pragma once

#include "agent/core/agent.h"

void boot_line(struct agent *a, const char *key, const char *value); /* {"key":"value"} to the keeper, where it listens */
void boot_mark_ready(struct agent *a, int init);                     /* 0: sessions may start; 1: the init has finished booting */
void boot_fail(struct agent *a, int code, const char *text, struct json_object *log); /* ends the answer; log: taken, may be NULL */
void boot_ended(struct agent *a, const char *how, int status);       /* last line of the answer */
