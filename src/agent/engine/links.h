/* SPDX-License-Identifier: Apache-2.0
 * Environment variables of links on the default bridge (--link). */
#pragma once

#include "agent/engine/engine.h"

/* Adds the variables of its links that have an address. */
void links_environment(const struct container *c, struct strv *env);
