/* SPDX-License-Identifier: Apache-2.0
 * Modes in words, as chmod(1) has them: "u=rwX,go=rX". */
#pragma once

#include <stdint.h>

#define CHMOD_DIRECTORY (1U << 16) /* beside the bits of a mode: X means x */

/* Applies the words to a mode. *ret has no CHMOD_DIRECTORY. 0; -EINVAL: they are none. */
int chmod_apply(const char *words, uint32_t mode, uint32_t *ret);
