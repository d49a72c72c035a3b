/* SPDX-License-Identifier: Apache-2.0
 * Words of docker that mean the same directly behind `holm` as behind `holm image`: pull, tag. */
#pragma once

#include "base/options.h"

/* The i-th of them, as holm-image has it, or NULL past the last. */
const struct command_spec *images_at(size_t i);
