/* SPDX-License-Identifier: Apache-2.0
 * The signal that asks an init to stop. */
#pragma once

#include "agent/core/agent.h"

int init_stop_signal(const struct agent *a);
