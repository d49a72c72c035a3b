/* SPDX-License-Identifier: Apache-2.0
 * Keys that leave a container running: --detach-keys and detachKeys. */
#pragma once

#include <stddef.h>

#include "base/error.h"

enum { DOCKER_KEYS_MAX = 16 };
#define DOCKER_KEYS_DEFAULT "ctrl-p,ctrl-q"

/* A sequence such as "ctrl-p,ctrl-q" or "a" as bytes. *ret_count 0: none. 0, or -EINVAL and a
 * text. */
int docker_keys_parse(const char *text, unsigned char ret[DOCKER_KEYS_MAX], size_t *ret_count, struct error **err);
