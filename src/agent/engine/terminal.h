/* SPDX-License-Identifier: Apache-2.0
 * Terminals of containers: crun makes one in the container's devpts and sends its master over a
 * socket. */
#pragma once

#include "agent/engine/engine.h"

struct terminal;
typedef void (*terminal_fn)(int master, void *data); /* takes master */

/* Makes a listening socket that somebody else takes the master from. The descriptor or -errno. */
int terminal_listen(const char *path, struct error **err);
/* Makes a socket for one master. NULL and an error. */
struct terminal *terminal_new(struct engine *e, terminal_fn fn, void *data, struct error **err);
const char *terminal_path(const struct terminal *t);
void terminal_take(struct terminal *t); /* takes the master that waits there, if any */
void terminal_free(struct terminal *t); /* NULL is fine */
