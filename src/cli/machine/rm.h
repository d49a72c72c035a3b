/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* Removes a machine and its disk; with force a running one is stopped first. 0, or -errno: -ENOENT
 * when there is none. */
int rm_machine(const char *name, int force, struct error **err);
