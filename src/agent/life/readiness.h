/* SPDX-License-Identifier: Apache-2.0
 * When sessions may start, and when the init has finished booting. */
#pragma once

#include "agent/core/agent.h"

void readiness_start(struct agent *a, int notify); /* notify: taken; the init's notification socket (sd_notify(3)) */
void readiness_free(struct readiness *readiness);  /* NULL is fine */
