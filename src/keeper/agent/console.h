/* SPDX-License-Identifier: Apache-2.0
 * Private to the keeper: console.log. */
#pragma once

#include "base/buffer.h"
#include "keeper/keeper.h"

struct console;
int console_new(struct keeper *k, struct console **ret);
void console_free(struct console *c);
void console_attach(struct console *c, int fd, const struct buffer *early); /* takes fd; an older stream is dropped */
