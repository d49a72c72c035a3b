/* SPDX-License-Identifier: Apache-2.0
 * Process 1 of a pid namespace inherits the children of everything that ends in it. */
#pragma once

#include "agent/core/agent.h"

int orphans_watch(struct agent *a); /* 0 or -errno */
