/* SPDX-License-Identifier: Apache-2.0
 * The last step of a child that becomes a command of the image's. */
#pragma once

#include "base/strv.h"

/* Executes argv[0], looked for in the PATH of env unless it has a slash. Returns on failure only:
 * -ENOENT if no directory of PATH has such a program, else -errno of execve(2). */
int execute_program(const char *program, char *const *argv, struct strv *env);
