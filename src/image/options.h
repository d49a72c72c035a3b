/* SPDX-License-Identifier: Apache-2.0
 * The commands of `holm image` as data, for `holm` (help, completion) and `holm-image` (parsing).
 * No code: `run` is NULL in all of them, because what they do is in holm-image only. */
#pragma once

#include "base/options.h"

extern const struct command_spec image_commands[]; /* commands for people; ends with a NULL name */
/* prepare, pack, unpack: for holm itself; ends with a NULL name */
extern const struct command_spec image_inner_commands[];
